/** Imports models into a platform: `import-models <dir> <from>`. */
import { openPlatform } from '../../src/open-platform.ts';
import { testBackends } from '../test-backends.ts';

const [dir = '', from = ''] = process.argv.slice(2);
const platform = await openPlatform({ ...(await testBackends(dir)), dir });
console.log('begins');
const { added } = await platform.registry.importModels({ from });
console.log(`imported ${JSON.stringify(added)}`);
await platform.close();
