import { fork } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BenchContext } from './benchmark.ts';
import type { LargeFileResult, LargeFileTask } from './large-file-child.ts';
import { inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, mebibytes: 16 },
  usual: { rounds: 3, mebibytes: 512 },
  full: { rounds: 1, mebibytes: 5_120 },
};

/**
 * A large file as an artifact of a run, up and down again, each in a process of its own: how much more memory
 * than before it takes, beside Node's own streams that copy the file and hash it.
 */
export async function benchLargeFile(context: BenchContext): Promise<Row[]> {
  const { rounds, mebibytes } = sizes[context.scale];
  const dir = join(context.dir, 'large');
  await mkdir(dir, { recursive: true });
  const file = join(dir, 'source');
  context.tell(`large file: writing ${mebibytes} MiB`);
  await writeRandom(file, mebibytes);
  const child = (way: LargeFileTask['way']): Promise<LargeFileResult> => run({ way, file, dir });
  // A round begins with an empty platform: the upload writes, the download reads what it wrote.
  const results = { upload: [], download: [], bare: [] } as Record<string, LargeFileResult[]>;
  await inTurns(
    rounds,
    {
      platform: async () => {
        await rm(join(dir, '.keelson'), { recursive: true, force: true });
        results['upload']?.push(await child('upload'));
        results['download']?.push(await child('download'));
      },
      bare: async () => void results['bare']?.push(await child('bare')),
    },
    (round) => context.tell(`large file: round ${round} of ${rounds}`),
  );
  await rm(dir, { recursive: true });
  const counted = rounds > 1 ? 1 : 0;
  const of = (way: string, figure: (one: LargeFileResult) => number): number[] =>
    (results[way] ?? []).slice(counted).map(figure);
  const mib = ({ extraBytes }: LargeFileResult): number => extraBytes / 2 ** 20;
  const rate = ({ ms }: LargeFileResult): number => (mebibytes / ms) * 1_000;
  const name = 'streams of Node: copy and SHA-256';
  return ['upload', 'download'].flatMap((way) => [
    rowOf(`${way} of ${mebibytes} MiB, memory beyond the base`, 'MiB', of(way, mib), {
      name,
      values: of('bare', mib),
    }),
    rowOf(`${way} of ${mebibytes} MiB`, 'MiB/s', of(way, rate), { name, values: of('bare', rate) }),
  ]);
}

async function run(task: LargeFileTask): Promise<LargeFileResult> {
  const child = fork(new URL('./large-file-child.ts', import.meta.url), {
    execArgv: ['--conditions=keelson:source', '--disable-warning=ExperimentalWarning'],
  });
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`The process of the ${task.way} ended with ${code} and no answer.`);
  });
  failed.catch(() => undefined);
  child.send(task);
  const [result] = (await Promise.race([once(child, 'message'), failed])) as [LargeFileResult];
  return result;
}

async function writeRandom(path: string, mebibytes: number): Promise<void> {
  const chunk = Buffer.alloc(2 ** 20);
  const handle = await open(path, 'w');
  for (let i = 0; i < mebibytes; i += 1) {
    randomFillSync(chunk);
    await handle.writeFile(chunk);
  }
  await handle.sync();
  await handle.close();
}
