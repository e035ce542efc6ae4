/** Downloads a version: arguments are the platform's directory, the version and the target. */
import { openPlatform } from '../../src/open-platform.ts';
import { testBackends } from '../test-backends.ts';

const [dir = '', version = '', target = ''] = process.argv.slice(2);
await using platform = await openPlatform({ ...(await testBackends(dir)), dir });
console.log('begins');
await platform.registry.download(version, target);
