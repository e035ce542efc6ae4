/**
 * Uploads a file in parts: `upload <endpoint> <bucket> <file> <accessKeyId> <secretAccessKey>`. Prints how far it is, and at
 * the end its digest and by how many MiB the process grew.
 */
import { S3ArtifactStore } from '../../src/s3-artifact-store.ts';

const [endpoint = '', bucket = '', path = '', accessKeyId = '', secretAccessKey = ''] =
  process.argv.slice(2);
const store = await S3ArtifactStore.open({
  endpoint,
  bucket,
  credentials: { accessKeyId, secretAccessKey },
  partBytes: 5 * 2 ** 20,
});
const space = store.space('home');
// What the first upload loads is no part of the memory of the second.
await space.put(new Uint8Array(6 * 2 ** 20));
const before = process.memoryUsage.rss();
let most = before;
const timer = setInterval(() => {
  most = Math.max(most, process.memoryUsage.rss());
}, 5);
const { sha256 } = await space.put(
  { path },
  { onProgress: (bytes) => console.log(`sent ${bytes}`) },
);
clearInterval(timer);
console.log(`stored ${sha256} ${Math.round((most - before) / 2 ** 20)}`);
await store.close();
