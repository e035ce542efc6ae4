/** Searches without an end, prints the slowest search so far (ms) and how many; dies of the first error. */
import { openPlatform } from '../../src/open-platform.ts';

const [dir = ''] = process.argv.slice(2);
const { tracking } = await openPlatform({ dir });
let slowest = 0;
for (let searches = 1; ; searches += 1) {
  const began = performance.now();
  await tracking.searchRuns({ filter: 'metrics.loss >= 0', orderBy: ['metrics.loss DESC'] });
  await tracking.countRuns({ filter: "attributes.status = 'RUNNING'", exact: true });
  slowest = Math.max(slowest, performance.now() - began);
  if (searches % 10 === 0) console.log(`searched ${searches} ${Math.round(slowest)}`);
}
