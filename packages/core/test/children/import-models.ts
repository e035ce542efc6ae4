/** Imports models into a platform: `import-models <dir> <from>`. */
import { openPlatform } from '../../src/open-platform.ts';
import { testBackends } from '../test-backends.ts';

const [dir = '', from = ''] = process.argv.slice(2);
const platform = await openPlatform({ ...(await testBackends(dir)), dir });
console.log('begins');
let told = 0;
const { added } = await platform.registry.importModels({
  from,
  onProgress({ phase }) {
    if (phase !== 'records') return;
    told += 1;
    console.log(`records ${told}`);
  },
});
console.log(`imported ${JSON.stringify(added)}`);
await platform.close();
