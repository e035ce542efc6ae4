import { beginLean, endLean } from '../packages/server/src/cli/lean-start.ts';

// node http-child.ts DIR: a platform behind HTTP with all that runs in the background, begun as `keelson serve` does it;
// prints its address, and goes on until it is killed.
const [dir = ''] = process.argv.slice(2);
beginLean();
const [{ openPlatform }, { startServer }] = await Promise.all([
  import('@keelson/core'),
  import('../packages/server/src/index.ts'),
]);
const platform = await openPlatform({ dir });
platform.start();
const { url } = await startServer(platform, { port: 0 });
endLean();
console.log(url);
