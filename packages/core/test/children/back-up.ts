import { openPlatform } from '../../src/open-platform.ts';

// Makes a backup; tells when the database is taken, and how each content goes.
const [dir = '', target = ''] = process.argv.slice(2);
const platform = await openPlatform({ dir });
const report = await platform.operations.backup(target, {
  onProgress: ({ phase, contents }) => console.log(`${phase} ${contents}`),
});
console.log(`done ${report.contents}`);
await platform.close();
