/** Reads contents of a store through a cache that others share, and checks each byte, until it is asked to stop. */
import { scenarioProcess } from '../../src/testing/faults/scenario-process.ts';
import { BehindCache, content, readAll } from '../behind-cache.ts';

/** What a reader is passed; content `n` is so many equal bytes. */
export interface ReadingArgument {
  readonly dir: string;
  readonly maxBytes: number;
  readonly contents: readonly { readonly sha256: string; readonly sizeBytes: number }[];
}

scenarioProcess<ReadingArgument>(async ({ argument, working, signal, random, say }) => {
  const { dir, maxBytes, contents } = argument;
  const behind = new BehindCache(dir);
  await using store = await behind.open({ maxBytes });
  const space = store.space('home');
  working();
  for (let reads = 1; !signal.aborted; reads += 1) {
    const n = Math.floor(random() * contents.length);
    const { sha256 = '', sizeBytes = 0 } = contents[n] ?? {};
    const start = random() < 0.5 ? 0 : Math.floor(random() * sizeBytes);
    const bytes = await readAll(await space.open(sha256, { start }));
    if (!bytes.equals(content(n, sizeBytes - start))) throw new Error(`Wrong bytes of ${n}.`);
    say({ reads, behind: behind.opened.length, warnings: behind.warnings });
  }
});
