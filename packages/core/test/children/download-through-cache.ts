/**
 * Places one content in files through a download cache that other processes share. Arguments: the directory with
 * `store` and `cache`, the digest, its size, how many times. Prints `fetch` for each fetch from the store, then
 * `done`.
 */
import { join } from 'node:path';
import { FileDownloadCache } from '../../src/embedded/download-cache.ts';
import { FileArtifactStore } from '../../src/embedded/file-artifact-store.ts';

const [dir = '', sha256 = '', size = '0', times = '1'] = process.argv.slice(2);
const silent = (): void => undefined;
const logger = { debug: silent, info: silent, warn: silent, error: silent };
await using store = await FileArtifactStore.open({ dir: join(dir, 'store') });
const cache = new FileDownloadCache({ dir: join(dir, 'cache'), maxBytes: 2 ** 40, logger });
for (let i = 0; i < Number(times); i += 1) {
  await cache.place({ sha256, sizeBytes: Number(size) }, join(dir, `target-${process.pid}-${i}`), {
    open: async (start) => {
      console.log(`fetch ${start}`);
      return await store.space('home').open(sha256, { start });
    },
    copy: false,
  });
}
console.log('done');
