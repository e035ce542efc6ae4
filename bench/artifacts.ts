import { execFile } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { mkdtemp, open, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ArtifactSpace } from '../packages/core/src/contracts/artifact-store.ts';
import { FileArtifactStore } from '../packages/core/src/embedded/file-artifact-store.ts';

/** One line of a benchmark's table. */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline?: { readonly name: string; readonly value: number };
  /** The quartiles, or how often. */
  readonly spread?: string;
}

const run = promisify(execFile);
const mebibyte = 1024 * 1024;
const smallBytes = 4_096;
const smallCount = 100;

/**
 * Throughput of the file artifact store on the disk of the temporary directory, each figure beside what
 * the system's own tools or a bare loop take for the same bytes, in turns in the same run; medians.
 */
export async function benchArtifacts(
  options: { readonly sizeMebibytes?: number; readonly rounds?: number } = {},
): Promise<Row[]> {
  const { sizeMebibytes = 512, rounds = 7 } = options;
  const dir = await mkdtemp(join(tmpdir(), 'keelson-bench-'));
  try {
    const file = join(dir, 'source');
    const sha256 = await writeRandom(file, sizeMebibytes);
    await using store = await FileArtifactStore.open({ dir: join(dir, 'artifacts') });
    const space = store.space('bench');
    const contenders: Readonly<Record<string, () => Promise<unknown>>> = {
      sha256sum: () => run('sha256sum', [file]),
      cp: () => run('cp', [file, join(dir, 'copy')]),
      sync: () => syncFile(join(dir, 'copy')),
      put: () => space.put({ path: file }),
      putStream: () => space.put(readPieces(file)),
      bareRead: () => readAndHash(file),
      read: () => drain(space, sha256),
      readOwnBuffer: () => drainIntoOwnBuffer(space, sha256),
      verify: () => space.verify(sha256),
      smallBare: () => writeSmallBare(dir),
      smallPut: () => putSmall(space),
    };
    const times = await measure(contenders, rounds, async (name) => {
      if (name === 'cp') await rm(join(dir, 'copy'), { force: true });
      if (name === 'put' || name === 'putStream') await space.remove(sha256);
    });
    return table(times, sizeMebibytes);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function table(times: ReadonlyMap<string, readonly number[]>, sizeMebibytes: number): Row[] {
  const of = (name: string): readonly number[] => times.get(name) ?? [];
  const sum = (...names: string[]): readonly number[] =>
    of(names[0] ?? '').map((_, i) => names.reduce((all, name) => all + (of(name)[i] ?? 0), 0));
  const throughput = (
    name: string,
    ms: readonly number[],
    against: string,
    base: readonly number[],
  ): Row => ({
    name,
    value: rate(sizeMebibytes, median(ms)),
    unit: 'MiB/s',
    baseline: { name: against, value: rate(sizeMebibytes, median(base)) },
    spread: spread(ms.map((each) => rate(sizeMebibytes, each))),
  });
  const tools = sum('sha256sum', 'cp');
  const durable = sum('sha256sum', 'cp', 'sync');
  const bare = of('bareRead');
  // Where sha256sum does not use the processor's instructions for it, and we do.
  const fastHash = sum('bareRead', 'cp');
  const size = `${sizeMebibytes} MiB`;
  return [
    throughput(`put of a file, ${size}`, of('put'), 'sha256sum + cp', tools),
    throughput(`put of a file, ${size}`, of('put'), 'SHA-256 in Node + cp', fastHash),
    throughput(`put of a file, ${size}`, of('put'), 'sha256sum + cp + fsync', durable),
    throughput(`put of a stream, ${size}`, of('putStream'), 'sha256sum + cp', tools),
    throughput(`open and read, ${size}`, of('read'), 'bare read + SHA-256', bare),
    throughput(
      `open and read into one buffer, ${size}`,
      of('readOwnBuffer'),
      'bare read + SHA-256',
      bare,
    ),
    throughput(`verify, ${size}`, of('verify'), 'bare read + SHA-256', bare),
    {
      name: `put of ${smallBytes} bytes`,
      value: median(of('smallPut')) / smallCount,
      unit: 'ms',
      baseline: {
        name: 'write + fsync + rename + fsync of the directory',
        value: median(of('smallBare')) / smallCount,
      },
      spread: spread(of('smallPut').map((ms) => ms / smallCount)),
    },
  ];
}

/** Each contender once a round, in an order that turns, so that none always comes first. */
async function measure(
  contenders: Readonly<Record<string, () => Promise<unknown>>>,
  rounds: number,
  prepare: (name: string) => Promise<void>,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const times = new Map<string, number[]>();
  for (let round = -1; round < rounds; round += 1) {
    for (const [name, work] of Object.entries(contenders)) {
      await prepare(name);
      const startedAt = performance.now();
      await work();
      const tookMs = performance.now() - startedAt;
      // The first round warms the page cache and the compiler.
      if (round >= 0) times.set(name, [...(times.get(name) ?? []), tookMs]);
    }
  }
  return times;
}

async function writeRandom(path: string, mebibytes: number): Promise<string> {
  const hash = createHash('sha256');
  const chunk = Buffer.alloc(mebibyte);
  const handle = await open(path, 'w');
  for (let i = 0; i < mebibytes; i += 1) {
    randomFillSync(chunk);
    hash.update(chunk);
    await handle.writeFile(chunk);
  }
  await handle.sync();
  await handle.close();
  return hash.digest('hex');
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r+');
  await handle.sync();
  await handle.close();
}

async function* readPieces(path: string): AsyncGenerator<Uint8Array> {
  const handle = await open(path);
  const piece = Buffer.alloc(256 * 1024);
  for (;;) {
    const { bytesRead } = await handle.read(piece);
    if (bytesRead === 0) break;
    yield piece.subarray(0, bytesRead);
  }
  await handle.close();
}

async function readAndHash(path: string): Promise<string> {
  const hash = createHash('sha256');
  const handle = await open(path);
  const chunk = Buffer.alloc(mebibyte);
  for (;;) {
    const { bytesRead } = await handle.read(chunk);
    if (bytesRead === 0) break;
    hash.update(chunk.subarray(0, bytesRead));
  }
  await handle.close();
  return hash.digest('hex');
}

async function drain(space: ArtifactSpace, sha256: string): Promise<number> {
  let bytes = 0;
  for await (const piece of await space.open(sha256)) bytes += piece.length;
  return bytes;
}

async function drainIntoOwnBuffer(space: ArtifactSpace, sha256: string): Promise<void> {
  const stream = (await space.open(sha256)) as ReadableStream<Uint8Array<ArrayBuffer>>;
  const reader = stream.getReader({ mode: 'byob' });
  let buffer = new ArrayBuffer(mebibyte);
  for (;;) {
    const { done, value } = await reader.read(new Uint8Array(buffer));
    if (done) return;
    buffer = value.buffer;
  }
}

let next = 0;

async function putSmall(space: ArtifactSpace): Promise<void> {
  const bytes = Buffer.alloc(smallBytes);
  for (let i = 0; i < smallCount; i += 1) {
    next += 1;
    bytes.writeUInt32LE(next);
    await space.put(bytes);
  }
}

async function writeSmallBare(dir: string): Promise<void> {
  const bytes = Buffer.alloc(smallBytes);
  for (let i = 0; i < smallCount; i += 1) {
    const aside = join(dir, 'aside');
    const handle = await open(aside, 'wx');
    await handle.writeFile(bytes);
    await handle.sync();
    await handle.close();
    next += 1;
    await rename(aside, join(dir, `small-${next}`));
    const directory = await open(dir);
    await directory.sync();
    await directory.close();
  }
}

function rate(mebibytes: number, ms: number): number {
  return (mebibytes / ms) * 1000;
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * q)] ?? Number.NaN;
}

function spread(values: readonly number[]): string {
  return `${quantile(values, 0.25).toPrecision(3)}–${quantile(values, 0.75).toPrecision(3)}`;
}
