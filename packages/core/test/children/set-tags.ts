/** Sets tags one after another until it is refused: `set-tags <dir> <run id> <prefix>`. Prints how many. */
import { openPlatform } from '../../src/open-platform.ts';

const [dir = '', runId = '', prefix = ''] = process.argv.slice(2);
const { tracking } = await openPlatform({ dir });
let set = 0;
for (; set < 60; set += 1) {
  try {
    await tracking.setRunTags(runId, { [`${prefix}${set}`]: 'x' });
  } catch (error) {
    console.log(`refused: ${(error as Error).message}`);
    break;
  }
}
console.log(`set ${set}`);
