// Checks the types of everything: the whole workspace, then the sources of each package under
// the rules their declarations are built with (isolatedDeclarations), without needing a build.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { readWorkspacePackages, workspaceRoot } from './workspace-packages.ts';

const runs = [['-p', workspaceRoot]];
for (const { directory } of readWorkspacePackages()) {
  runs.push([
    ...['-p', join(directory, 'tsconfig.build.json'), '--rootDir', workspaceRoot],
    ...['--noEmit', '--emitDeclarationOnly', 'false', '--customConditions', 'keelson:source'],
  ]);
}
const compiler = join(workspaceRoot, 'node_modules', 'typescript', 'bin', 'tsc');
for (const args of runs) {
  const run = spawnSync(process.execPath, [compiler, ...args], { stdio: 'inherit' });
  if (run.status !== 0) process.exitCode = 1;
}
