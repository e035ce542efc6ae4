/**
 * Registers a large file, downloads it cold and warm, and tells of each how long it took and how much more memory
 * the process had at its peak than before, as a line of JSON. Arguments: a directory with `source`.
 */
import { join } from 'node:path';
import { openPlatform } from '../../src/open-platform.ts';
import { testBackends } from '../test-backends.ts';

const [dir = ''] = process.argv.slice(2);
const home = join(dir, '.keelson');
await using platform = await openPlatform({ ...(await testBackends(home)), dir: home });
const { registry } = platform;

async function measured(work: () => Promise<unknown>): Promise<{ ms: number; extraBytes: number }> {
  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 5);
  const startedAt = performance.now();
  await work();
  clearInterval(timer);
  return { ms: Math.round(performance.now() - startedAt), extraBytes: most - before };
}

// Small first: what the first one loads is no part of the file's memory.
const small = { files: { small: Buffer.from('small') } };
await registry.register({ model: 'small', from: small, format: 'CUSTOM' });
await registry.download('small@1.0.0', join(dir, 'small'));
const from = { file: join(dir, 'source') };
const told = {
  register: await measured(() => registry.register({ model: 'large', from, format: 'CUSTOM' })),
  cold: await measured(() => registry.download('large@1.0.0', join(dir, 'cold'))),
  warm: await measured(() => registry.download('large@1.0.0', join(dir, 'warm'))),
  copy: await measured(() => registry.download('large@1.0.0', join(dir, 'copy'), { copy: true })),
};
console.log(JSON.stringify(told));
