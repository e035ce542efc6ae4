/**
 * Registers versions of one model until it has made `count`, telling each on stdout: the other processes
 * of the registry's tests. Arguments: directory, name of this process, count.
 */
import { openPlatform } from '../src/open-platform.ts';
import { testBackends } from './test-backends.ts';

const [dir = '', who = '', count = '1'] = process.argv.slice(2);
const platform = await openPlatform({ ...(await testBackends(dir)), dir });
for (let i = 0; i < Number(count); i += 1) {
  const version = await platform.registry.register({
    model: 'shared',
    from: {
      files: {
        'weights.json': Buffer.from(`${who} ${i}`),
        'note.txt': Buffer.from('same for all'),
      },
    },
    format: 'CUSTOM',
    bump: 'minor',
    tags: { who, i: String(i) },
  });
  process.stdout.write(`${JSON.stringify({ id: version.id, number: version.number })}\n`);
}
await platform.close();
