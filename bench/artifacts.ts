import { execFile } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ArtifactSpace } from '@keelson/core';
import { FileArtifactStore } from '../packages/core/src/embedded/file-artifact-store.ts';
import type { BenchContext } from './benchmark.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, mebibytes: 2, files: 5 },
  usual: { rounds: 5, mebibytes: 256, files: 100 },
  full: { rounds: 7, mebibytes: 1_024, files: 200 },
};
const run = promisify(execFile);
const mebibyte = 1024 * 1024;
const smallBytes = 4_096;

/**
 * Throughput of the file artifact store, beside what the system's own tools or a bare loop take for the
 * same bytes.
 */
export async function benchArtifacts(context: BenchContext): Promise<Row[]> {
  const { rounds, mebibytes, files } = sizes[context.scale];
  const dir = join(context.dir, 'artifacts');
  await mkdir(dir);
  const file = join(dir, 'source');
  const copy = join(dir, 'copy');
  context.tell(`artifacts: writing ${mebibytes} MiB`);
  const sha256 = await writeRandom(file, mebibytes);
  await using store = await FileArtifactStore.open({ dir: join(dir, 'store') });
  const space = store.space('bench');
  const put = async (source: Parameters<ArtifactSpace['put']>[0]): Promise<number> => {
    await space.remove(sha256);
    return elapsedMs(() => space.put(source));
  };
  const small = new SmallFiles(dir, files);
  const times = await inTurns(
    rounds,
    {
      hash: () => elapsedMs(() => run('sha256sum', [file])),
      copy: async () => {
        await rm(copy, { force: true });
        return elapsedMs(() => run('cp', [file, copy]));
      },
      durableCopy: async () => {
        await rm(copy, { force: true });
        return elapsedMs(() => run('cp', [file, copy]).then(() => syncFile(copy)));
      },
      put: () => put({ path: file }),
      putStream: () => put(readPieces(file)),
      bareRead: () => elapsedMs(() => readAndHash(file)),
      read: () => elapsedMs(() => drain(space, sha256)),
      readOwnBuffer: () => elapsedMs(() => drainIntoOwnBuffer(space, sha256)),
      verify: () => elapsedMs(() => space.verify(sha256)),
      smallBare: () => elapsedMs(() => small.writeBare()),
      smallPut: () => elapsedMs(() => small.put(space)),
    },
    (round) => context.tell(`artifacts: round ${round} of ${rounds}`),
  );
  await rm(dir, { recursive: true });
  return [...throughputs(times, mebibytes), smallFilesRow(times, files)];
}

type Times = Readonly<
  Record<
    | 'hash'
    | 'copy'
    | 'durableCopy'
    | 'put'
    | 'putStream'
    | 'bareRead'
    | 'read'
    | 'readOwnBuffer'
    | 'verify'
    | 'smallBare'
    | 'smallPut',
    readonly number[]
  >
>;

function throughputs(times: Times, mebibytes: number): Row[] {
  const rates = (all: readonly number[]): number[] => all.map((ms) => (mebibytes / ms) * 1_000);
  const sum = (...all: (readonly number[])[]): number[] =>
    (all[0] ?? []).map((_, round) => all.reduce((total, each) => total + (each[round] ?? 0), 0));
  const row = (name: string, of: readonly number[], beside: string, base: readonly number[]): Row =>
    rowOf(`${name}, ${mebibytes} MiB`, 'MiB/s', rates(of), { name: beside, values: rates(base) });
  const { hash, copy, durableCopy, bareRead } = times;
  return [
    row('put of a file', times.put, 'sha256sum + cp', sum(hash, copy)),
    row('put of a file', times.put, 'sha256sum + cp + fsync', sum(hash, durableCopy)),
    // Where sha256sum does not use the processor's instructions for it, and we do.
    row('put of a file', times.put, 'SHA-256 in Node + cp', sum(bareRead, copy)),
    row('put of a stream', times.putStream, 'sha256sum + cp', sum(hash, copy)),
    row('open and read', times.read, 'bare read + SHA-256', bareRead),
    row('open and read into one buffer', times.readOwnBuffer, 'bare read + SHA-256', bareRead),
    row('verify', times.verify, 'bare read + SHA-256', bareRead),
  ];
}

function smallFilesRow(times: Times, files: number): Row {
  const each = (all: readonly number[]): number[] => all.map((ms) => ms / files);
  return rowOf(`put of ${smallBytes} bytes`, 'ms', each(times.smallPut), {
    name: 'write, fsync, rename, fsync of the directory',
    values: each(times.smallBare),
  });
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

/** Many files of different small content, one after another. */
class SmallFiles {
  readonly #dir: string;
  readonly #count: number;
  readonly #bytes = Buffer.alloc(smallBytes);
  #next = 0;

  constructor(dir: string, count: number) {
    this.#dir = dir;
    this.#count = count;
  }

  async put(space: ArtifactSpace): Promise<void> {
    for (let i = 0; i < this.#count; i += 1) await space.put(this.#content());
  }

  async writeBare(): Promise<void> {
    for (let i = 0; i < this.#count; i += 1) {
      const aside = join(this.#dir, 'aside');
      const handle = await open(aside, 'wx');
      await handle.writeFile(this.#content());
      await handle.sync();
      await handle.close();
      await rename(aside, join(this.#dir, `small-${this.#next}`));
      await syncDirectory(this.#dir);
    }
  }

  #content(): Buffer {
    this.#next += 1;
    this.#bytes.writeUInt32LE(this.#next);
    return this.#bytes;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path);
  await directory.sync();
  await directory.close();
}
