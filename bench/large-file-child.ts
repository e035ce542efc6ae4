/**
 * One large file through one way: `large-file-child`, told what to do by a message. Answers how long it took, and
 * how much more memory the process had at its peak than before.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { openPlatform } from '@keelson/core';

/** What the child is to do. */
export interface LargeFileTask {
  readonly way: 'upload' | 'download' | 'bare';
  readonly file: string;
  readonly dir: string;
}

/** What it measured. */
export interface LargeFileResult {
  readonly ms: number;
  readonly extraBytes: number;
}

process.once('message', async (task: LargeFileTask) => {
  process.send?.(await measured(task));
  process.disconnect();
});

async function measured({ way, file, dir }: LargeFileTask): Promise<LargeFileResult> {
  if (way === 'bare') return peak(() => bareCopy(file, join(dir, 'copy')));
  await using platform = await openPlatform({ dir: join(dir, '.keelson') });
  const options = { experiment: 'large', id: 'large', environment: false } as const;
  if (way === 'upload') {
    const run = await platform.tracking.startRun(options);
    // Small first: what the first upload loads is no part of the file's memory.
    await run.logText('small.txt', 'small');
    const result = await peak(() => run.logArtifact('large.bin', { path: file }));
    await run.finish();
    return result;
  }
  const target = join(dir, 'downloaded');
  await platform.tracking.downloadArtifact('large', 'small.txt', target);
  const result = await peak(() => platform.tracking.downloadArtifact('large', 'large.bin', target));
  await rm(target, { recursive: true });
  return result;
}

async function peak(work: () => Promise<unknown>): Promise<LargeFileResult> {
  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 5);
  const startedAt = performance.now();
  await work();
  clearInterval(timer);
  return { ms: performance.now() - startedAt, extraBytes: most - before };
}

async function bareCopy(from: string, to: string): Promise<void> {
  const hash = createHash('sha256');
  const source = createReadStream(from, { highWaterMark: 2 ** 20 });
  source.on('data', (chunk) => hash.update(chunk));
  await pipeline(source, createWriteStream(to));
  hash.digest('hex');
  await rm(to);
}
