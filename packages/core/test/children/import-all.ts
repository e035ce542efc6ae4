/** Imports an export into a platform: `import-all <dir> <from>`. */
import { openPlatform } from '../../src/open-platform.ts';

const [dir = '', from = ''] = process.argv.slice(2);
const platform = await openPlatform({ dir });
console.log('begins');
const { added } = await platform.tracking.importExperiments({ from });
console.log(`imported ${JSON.stringify(added)}`);
await platform.close();
