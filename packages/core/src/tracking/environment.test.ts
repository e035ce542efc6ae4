import { execFileSync } from 'node:child_process';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { temporaryDirectory } from '../../test/open-test-platform.ts';
import { flagNames } from './environment.ts';

/** What a process of that directory and command line captures. */
async function captureIn(
  cwd: string,
  args: readonly string[] = [],
): Promise<Record<string, unknown>> {
  const child = new ChildProgram(childFile('capture-environment'), args, { cwd });
  return JSON.parse(await child.line(/^\{/)) as Record<string, unknown>;
}

describe('captureEnvironment', () => {
  test('git state, machine, lock file and command; no values of arguments, no variables', async () => {
    const dir = await temporaryDirectory();
    await writeFile(join(dir, 'package-lock.json'), '{}');
    const git = (...args: string[]): string =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: dir })
        .toString()
        .trim();
    git('init', '-q', '-b', 'trunk');
    git('add', '.');
    git('commit', '-qm', 'first');
    process.env['KEELSON_TEST_SECRET'] = 'hunter2';
    const args = ['--token=hunter2', '--password', 'hunter2', '-phunter2', 'hunter2', '--dry-run'];
    const captured = await captureIn(dir, args);
    expect(captured).toMatchObject({
      gitCommit: git('rev-parse', 'HEAD'),
      sourceName: 'capture-environment.ts',
      facts: {
        git: { commit: git('rev-parse', 'HEAD'), branch: 'trunk', dirty: false },
        dependencies: {
          lockFile: 'package-lock.json',
          sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        },
        machine: { node: process.versions.node, cpus: expect.any(Number) },
        command: { flags: ['--token', '--password', '-p', '--dry-run'] },
      },
    });
    expect(JSON.stringify(captured)).not.toContain('hunter2');
    await writeFile(join(dir, 'package-lock.json'), '{ }');
    expect(await captureIn(dir)).toMatchObject({ facts: { git: { dirty: true } } });
  });

  test('without git, lock file or even a directory, the rest is captured', async () => {
    const dir = join(await temporaryDirectory(), 'gone');
    await mkdir(join(dir, 'package-lock.json'), { recursive: true });
    const captured = await captureIn(dir);
    expect(Object.keys(captured['facts'] as object)).toEqual(['machine', 'command']);
    await rm(join(dir, 'package-lock.json'), { recursive: true });
    await writeFile(join(dir, 'package-lock.json'), '{}');
    await chmod(join(dir, 'package-lock.json'), 0);
    // The process removes its own directory before it looks.
    const gone = await captureIn(dir, ['--remove-directory']);
    expect(gone).toMatchObject({
      facts: { machine: {}, command: { flags: ['--remove-directory'] } },
    });
    expect(Object.hasOwn(gone['facts'] as object, 'dependencies')).toBe(false);
  });

  test('each part is switched off by its name', async () => {
    const off = ['git', 'machine', 'dependencies', 'command'].map((part) => `--off=${part}`);
    const captured = await captureIn(await temporaryDirectory(), off);
    expect(captured['facts']).toEqual({});
  });
});

describe('flagNames', () => {
  test.each([
    [
      ['-v', '--x', '--a-b=c'],
      ['-v', '--x', '--a-b'],
    ],
    [['-pSECRET', '-', '--', '---x', '-1', '--9'], ['-p']],
    [
      ['--key:SECRET', '--key SECRET', '--url=http://u:SECRET@h'],
      ['--key', '--key', '--url'],
    ],
  ])('%j', (args, wanted) => {
    expect(flagNames(args)).toEqual(wanted);
  });
});
