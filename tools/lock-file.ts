// Checks that package-lock.json installs everywhere: it names no registry's host, and for every
// platform the packages that only that platform needs. npm leaves those of other platforms out
// when it writes the file beside an installed tree, and refuses the file later with `npm ci`.
// With `--fix`, adds what is missing.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { completeLockFile, findLockFileFaults, type LockFile } from './lock-file-faults.ts';
import { workspaceRoot } from './workspace-packages.ts';

const path = join(workspaceRoot, 'package-lock.json');
const lock = JSON.parse(readFileSync(path, 'utf8')) as LockFile;
if (process.argv.includes('--fix')) {
  completeLockFile(lock);
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
}
const faults = findLockFileFaults(lock);
for (const fault of faults) console.error(fault);
if (faults.length > 0) {
  console.error('Run `npm run lock -- --fix`, and look at the change.');
  process.exitCode = 1;
}
console.log(`${Object.keys(lock.packages).length} entries, ${faults.length} faults`);
