// Checks the types of everything: the whole workspace, then the sources of each package under
// the rules their declarations are built with (isolatedDeclarations), without needing a build, and the dashboard, which is a browser's. What has not changed
// since the last time is not checked again.
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
runs.push(['-p', join(workspaceRoot, 'packages', 'server', 'dashboard')]);
const compiler = join(workspaceRoot, 'node_modules', 'typescript', 'bin', 'tsc');
const known = join(workspaceRoot, 'node_modules', '.cache', 'types');
for (const [i, args] of runs.entries()) {
  const incremental = ['--incremental', '--tsBuildInfoFile', join(known, `${i}.tsbuildinfo`)];
  const all = [compiler, ...args, ...incremental];
  const run = spawnSync(process.execPath, all, { stdio: 'inherit' });
  if (run.status !== 0) process.exitCode = 1;
}
