import { expect, it } from 'vitest';
import { completeLockFile, findLockFileFaults, type LockFile } from './lock-file-faults.ts';

function lockFile(): LockFile {
  return {
    packages: {
      '': {},
      'node_modules/@keelson/core': { resolved: 'packages/core', link: true },
      'node_modules/zod': { version: '4.0.0' },
      'node_modules/tool': {
        version: '2.1.0',
        dev: true,
        optionalDependencies: { 'tool-linux-x64-gnu': '2.1.0', '@tool/darwin-arm64': '2.1.0' },
      },
      'node_modules/tool-linux-x64-gnu': { version: '2.1.0', optional: true },
    },
  };
}

it('reports a package of another platform that has no entry, and adds it', () => {
  const lock = lockFile();
  expect(findLockFileFaults(lock)).toEqual([
    'node_modules/tool may need @tool/darwin-arm64@2.1.0, which has no entry',
  ]);
  completeLockFile(lock);
  expect(findLockFileFaults(lock)).toEqual([]);
  expect(lock.packages['node_modules/@tool/darwin-arm64']).toEqual({
    version: '2.1.0',
    dev: true,
    optional: true,
    cpu: ['arm64'],
    os: ['darwin'],
  });
});

it('reports the host of a registry, and drops it', () => {
  const lock = lockFile();
  completeLockFile(lock);
  lock.packages['node_modules/zod'] = {
    version: '4.0.0',
    resolved: 'https://mirror.example/zod/-/zod-4.0.0.tgz',
  };
  expect(findLockFileFaults(lock)).toEqual([
    'node_modules/zod is bound to one host: https://mirror.example/zod/-/zod-4.0.0.tgz',
  ]);
  completeLockFile(lock);
  expect(findLockFileFaults(lock)).toEqual([]);
});
