// Run by the fault tests as a process of its own: `artifact-child.ts MODE DIR SEED`.
import { createHash } from 'node:crypto';
import { open, readdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileArtifactStore } from '../src/embedded/file-artifact-store.ts';
import { isKeelsonError } from '../src/errors.ts';

const mebibyte = 1024 * 1024;
const [mode = '', dir = '', seedText = '1'] = process.argv.slice(2);
const random = randomOf(Number(seedText));

const modes: Readonly<Record<string, () => Promise<void>>> = {
  'put-for-ever': putForEver,
  'put-shared': putShared,
  'remove-shared': removeShared,
  'fill-disk': fillDisk,
  memory: measureMemory,
};
await modes[mode]?.();

/** Puts contents of all sizes, one after another, and says which ones were acknowledged. */
async function putForEver(): Promise<void> {
  const store = await FileArtifactStore.open({ dir });
  const space = store.space('home');
  for (;;) {
    const size = Math.floor(random() < 0.3 ? random() * 20_000 : random() * 5 * mebibyte);
    const { sha256, sizeBytes } = await space.put(pieces(size, random));
    say({ acknowledged: sha256, sizeBytes });
  }
}

/** Puts the same twenty contents as its brothers, over and over, in an order of its own. */
async function putShared(): Promise<void> {
  await using store = await FileArtifactStore.open({ dir });
  const space = store.space('home');
  for (let i = 0; i < 60; i += 1) await space.put(shared(Math.floor(random() * 20)));
  say({ done: true });
}

/** Removes, reads and cleans up what its brothers put. */
async function removeShared(): Promise<void> {
  await using store = await FileArtifactStore.open({ dir });
  const space = store.space('home');
  let collected = 0;
  for (let i = 0; i < 80; i += 1) {
    const bytes = shared(Math.floor(random() * 20));
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    collected += await store.collectLeftovers(0);
    try {
      await space.verify(sha256);
    } catch (error) {
      if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
    }
    await space.remove(sha256);
  }
  say({ done: true, collected });
}

/** On a small disk: uploads with every amount of space left, down to none. */
async function fillDisk(): Promise<void> {
  await using store = await FileArtifactStore.open({ dir: join(dir, 'artifacts') });
  const space = store.space('home');
  const kept = await space.put(new Uint8Array(50_000).fill(7));
  const filler = join(dir, 'filler');
  const outcomes: Record<string, number> = {};
  const problems: string[] = [];
  let said = '';
  for (let left = 0; left <= 3.4 * mebibyte; left += 32 * 1024) {
    await rm(filler, { force: true });
    const { bavail, bsize } = await statfs(dir);
    await writeFile(filler, new Uint8Array(Math.max(0, bavail * bsize - left)));
    let outcome = 'stored';
    try {
      const { sha256 } = await space.put(pieces(2.5 * mebibyte, random));
      await space.verify(sha256);
      await space.remove(sha256);
    } catch (error) {
      outcome = isKeelsonError(error) ? error.code : String(error);
      if (isKeelsonError(error, 'EXHAUSTED')) said = error.message;
    }
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    const visible = (await Array.fromAsync(space.list())).map((entry) => entry.sha256);
    const incoming = await readdir(join(dir, 'artifacts', 'incoming'));
    if (visible.join() !== kept.sha256) problems.push(`with ${left} left: sees ${visible}`);
    if (incoming.length > 0) problems.push(`with ${left} left: ${incoming} was left behind`);
  }
  await rm(filler, { force: true });
  await space.verify(kept.sha256);
  const afterwards = await space.put(pieces(2.5 * mebibyte, random));
  await space.verify(afterwards.sha256);
  say({ outcomes, problems, said });
}

/** Uploads and reads a large content, and says by how much the process grew. */
async function measureMemory(): Promise<void> {
  await using store = await FileArtifactStore.open({ dir });
  const space = store.space('home');
  const file = join(dir, 'source');
  const before = process.memoryUsage.rss();
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 2);
  const grown: Record<string, number> = {};
  const step = async (name: string, work: () => Promise<unknown>): Promise<void> => {
    await work();
    grown[name] = Math.round((peak - before) / mebibyte);
    peak = process.memoryUsage.rss();
  };
  const size = 256 * mebibyte;
  let sha256 = '';
  await step('stream', async () => {
    ({ sha256 } = await space.put(zeroPieces(size, 65_536)));
  });
  await step('verify', () => space.verify(sha256));
  await step('byob', async () => {
    const reader = (
      (await space.open(sha256)) as ReadableStream<Uint8Array<ArrayBuffer>>
    ).getReader({
      mode: 'byob',
    });
    const handle = await open(file, 'w');
    let buffer = new ArrayBuffer(mebibyte);
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (done || value === undefined) break;
      await handle.write(value);
      buffer = value.buffer;
    }
    await handle.close();
  });
  await step('path', () => space.put({ path: file }));
  clearInterval(timer);
  say({ grown });
}

function shared(index: number): Uint8Array {
  const size = index % 2 === 0 ? 10_000 + index : 1.5 * mebibyte + index;
  return new Uint8Array(size).fill(index + 1);
}

async function* pieces(size: number, next: () => number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size; ) {
    const piece = new Uint8Array(Math.min(size - at, 1 + Math.floor(next() * 400_000)));
    piece.fill(Math.floor(next() * 256));
    at += piece.length;
    yield piece;
  }
}

async function* zeroPieces(size: number, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size; at += pieceBytes) yield new Uint8Array(pieceBytes);
}

// mulberry32
function randomOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function say(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}
