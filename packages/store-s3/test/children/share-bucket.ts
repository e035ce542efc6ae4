/**
 * A platform in a directory and a bucket that others use too: `share-bucket <role> <dir> <endpoint> <bucket>
 * <accessKeyId> <secretAccessKey> <files>`. As `log` it logs a directory of files and a stream to new runs, reads
 * them back, and deletes most runs; as `collect` it collects garbage by a clock two months ahead, so that every
 * content looks forgotten but what was put or kept just now. For ever.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openPlatform } from '@keelson/core';
import { s3Backend } from '../../src/index.ts';

const [
  role,
  dir = '',
  endpoint = '',
  bucket = '',
  accessKeyId = '',
  secretAccessKey = '',
  files = '',
] = process.argv.slice(2);
const month = 30 * 86_400_000;
const { tracking, operations } = await openPlatform({
  dir,
  artifacts: s3Backend({ endpoint, bucket, credentials: { accessKeyId, secretAccessKey } }),
  ...(role === 'collect' ? { clock: { now: () => Date.now() + 2 * month } } : {}),
});

async function log(round: number): Promise<void> {
  const bytes = new Uint8Array(3 * 2 ** 20 + 5).fill(round % 4);
  const options = { experiment: 'shared', environment: false } as const;
  const id = await tracking.withRun(options, async (run) => {
    await run.logArtifacts(join(files, String(round % 3)), { prefix: 'model' });
    await run.logArtifact('stream.bin', ReadableStream.from([bytes]));
    return run.id;
  });
  const range = await tracking.openArtifact(id, 'stream.bin', {
    start: 2 ** 20 - 3,
    end: 2 ** 20 + 3,
  });
  const read = Buffer.concat(await Array.fromAsync(range));
  if (!read.equals(bytes.subarray(0, 6))) throw new Error('Another range than was logged.');
  const { artifacts } = await tracking.listArtifacts(id);
  for (const { path } of artifacts.filter((each) => each.path.startsWith('model/'))) {
    const there = await readFile(join(files, String(round % 3), path.slice('model/'.length)));
    const back = await tracking.readArtifact(id, path);
    if (digest(back) !== digest(there)) throw new Error(`Other bytes than were logged: ${path}.`);
  }
  if (round % 3 !== 0) await tracking.deleteRun(id);
  console.log(`round ${round} ${artifacts.length}`);
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

for (let round = 1; ; round += 1) {
  if (role === 'log') await log(round);
  else {
    const { records, contents } = await operations.gc({ graceMs: 2 * month });
    console.log(`collected ${JSON.stringify(records)} ${contents}`);
  }
}
