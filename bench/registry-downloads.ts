import { createHash, randomFillSync } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { openPlatform } from '@keelson/core';
import type { BenchContext } from './benchmark.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, mebibytes: 16 },
  usual: { rounds: 5, mebibytes: 256 },
  full: { rounds: 5, mebibytes: 1_024 },
};

/** A model of one large file: registered, downloaded with nothing in the cache, and with the file in it. */
export async function benchRegistryDownloads(context: BenchContext): Promise<Row[]> {
  const { rounds, mebibytes } = sizes[context.scale];
  const dir = join(context.dir, 'downloads');
  await mkdir(dir, { recursive: true });
  const file = join(dir, 'weights.bin');
  context.tell(`downloads: writing ${mebibytes} MiB`);
  await writeRandom(file, mebibytes);
  const home = join(dir, '.keelson');
  await using platform = await openPlatform({ dir: home });
  const { registry } = platform;
  await registry.register({ model: 'large', from: { file }, format: 'CUSTOM' });
  const target = join(dir, 'target');
  /** The time of the work alone: what it made goes afterwards. */
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const ms = await elapsedMs(work);
    await rm(target, { recursive: true });
    return ms;
  };
  const download = (copy: boolean): Promise<number> =>
    timed(() => registry.download('large@1.0.0', target, { copy }));
  const times = await inTurns(
    rounds,
    {
      register: () =>
        elapsedMs(() => registry.register({ model: 'large', from: { file }, format: 'CUSTOM' })),
      cold: async () => {
        await rm(join(home, 'cache', 'downloads'), { recursive: true, force: true });
        return await download(false);
      },
      warm: () => download(false),
      copy: () => download(true),
      hashed: () => timed(() => bareCopy(file, target)),
      copied: () => timed(() => copyFile(file, target)),
    },
    (round) => context.tell(`downloads: round ${round} of ${rounds}`),
  );
  await rm(dir, { recursive: true });
  const hashed = { name: 'streams of Node: copy and SHA-256', values: times.hashed };
  const of = `model of ${mebibytes} MiB`;
  return [
    rowOf(`${of} registered from a file`, 'ms', times.register, hashed),
    rowOf(`${of} downloaded, nothing in the cache`, 'ms', times.cold, hashed),
    {
      ...rowOf(`${of} downloaded, in the cache`, 'ms', times.warm, {
        name: 'fs.copyFile',
        values: times.copied,
      }),
      goal: { most: 500 },
    },
    rowOf(`${of} downloaded, in the cache, as a copy of one’s own`, 'ms', times.copy, hashed),
  ];
}

async function bareCopy(from: string, to: string): Promise<void> {
  const hash = createHash('sha256');
  const source = createReadStream(from, { highWaterMark: 2 ** 20 });
  source.on('data', (chunk) => hash.update(chunk));
  await pipeline(source, createWriteStream(to));
  hash.digest('hex');
}

async function writeRandom(path: string, mebibytes: number): Promise<void> {
  const chunk = Buffer.alloc(2 ** 20);
  await using handle = await open(path, 'w');
  for (let i = 0; i < mebibytes; i += 1) {
    randomFillSync(chunk);
    await handle.writeFile(chunk);
  }
  await handle.sync();
}
