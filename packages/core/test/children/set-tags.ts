/**
 * Sets tags one after another until it is refused: `set-tags <dir> <id> <prefix> [run|experiment]`.
 * Prints how many.
 */
import { openPlatform } from '../../src/open-platform.ts';

const [dir = '', id = '', prefix = '', of = 'run'] = process.argv.slice(2);
const { tracking } = await openPlatform({ dir });
let set = 0;
for (; set < 60; set += 1) {
  try {
    const tags = { [`${prefix}${set}`]: 'x' };
    if (of === 'run') await tracking.setRunTags(id, tags);
    else await tracking.setExperimentTags(id, tags);
  } catch (error) {
    console.log(`refused: ${(error as Error).message}`);
    break;
  }
}
console.log(`set ${set}`);
