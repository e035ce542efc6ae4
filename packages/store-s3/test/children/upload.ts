/**
 * Uploads a file in parts, and reads it: `upload <endpoint> <bucket> <file> <accessKeyId> <secretAccessKey> <MiB a part>`. Prints how
 * far it is, then its digest, by how many MiB the process grew and how long that took in ms; and the same of the reading.
 */
import { S3ArtifactStore } from '../../src/s3-artifact-store.ts';

const [
  endpoint = '',
  bucket = '',
  path = '',
  accessKeyId = '',
  secretAccessKey = '',
  partMebibytes = '8',
] = process.argv.slice(2);
const store = await S3ArtifactStore.open({
  endpoint,
  bucket,
  credentials: { accessKeyId, secretAccessKey },
  partBytes: Number(partMebibytes) * 2 ** 20,
});
const space = store.space('home');
// What the first upload loads is no part of the memory of the second.
await space.put(new Uint8Array(6 * 2 ** 20));

/** What an act answers, how many MiB the process grew above what it had before, and how many ms it took. */
async function measured<T>(act: () => Promise<T>): Promise<readonly [T, number, number]> {
  const before = process.memoryUsage.rss();
  const began = performance.now();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 5);
  const answer = await act();
  clearInterval(timer);
  return [answer, Math.round((most - before) / 2 ** 20), Math.round(performance.now() - began)];
}

const onProgress = (bytes: number): void => console.log(`sent ${bytes}`);
const [{ sha256 }, ...up] = await measured(() => space.put({ path }, { onProgress }));
console.log(`stored ${sha256} ${up.join(' ')}`);
const [bytes, ...down] = await measured(async () => {
  // As downloads do: with a buffer of their own.
  const stream = (await space.open(sha256)) as ReadableStream<Uint8Array<ArrayBuffer>>;
  const reader = stream.getReader({ mode: 'byob' });
  let buffer = new ArrayBuffer(256 * 1024);
  for (let count = 0; ; ) {
    const { done, value } = await reader.read(new Uint8Array(buffer));
    if (done || value === undefined) return count;
    count += value.length;
    buffer = value.buffer;
  }
});
console.log(`read ${bytes} ${down.join(' ')}`);
await store.close();
