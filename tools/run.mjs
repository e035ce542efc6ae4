// The one way into every script of this workspace: `node tools/run.mjs JOB [arguments]`.
// It needs no installed package and runs on Node 20, installs what the lock file names when
// that is not there yet, and hands the job to the Node version the workspace pins.

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findPinnedNode } from './pinned-node.mjs';
import { runChild } from './run-child.mjs';
import { ensureInstalled } from './workspace-install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What `npm start` runs: the first of these that exists. */
const mainExamples = ['examples/10-lifecycle/main.ts', 'examples/01-train/main.ts'];

const fromSource = '--conditions=keelson:source';
const biome = 'node_modules/@biomejs/biome/bin/biome';
const vitest = 'node_modules/vitest/vitest.mjs';

const jobs = {
  start: (rest) => [fromSource, mainExample(), ...rest],
  bench: (rest) => [fromSource, 'bench/main.ts', ...rest],
  faults: (rest) => [fromSource, 'faults/main.ts', ...rest],
  fuzz: (rest) => [fromSource, '--expose-gc', 'fuzz/main.ts', ...rest],
  test: (rest) => [vitest, 'run', ...rest],
  lock: (rest) => ['tools/lock-file.ts', ...rest],
  lint: (rest) => [biome, 'check', ...rest],
  format: (rest) => [biome, 'check', '--write', ...rest],
  types: (rest) => ['tools/types.ts', ...rest],
  build: (rest) => ['tools/build.ts', ...rest],
  dashboard: (rest) => [fromSource, 'packages/server/dashboard/build.ts', ...rest],
  check: (rest) => ['tools/check.ts', ...rest],
};

function mainExample() {
  const found = mainExamples.find((path) => existsSync(join(root, path)));
  if (found === undefined) throw new Error(`None of ${mainExamples.join(', ')} is there to run.`);
  return found;
}

async function main([name, ...rest]) {
  const job = jobs[name];
  if (job === undefined) {
    throw new Error(`There is no job "${name ?? ''}". Jobs: ${Object.keys(jobs).join(', ')}.`);
  }
  await ensureInstalled(root);
  const node = findPinnedNode(root);
  const bin = join(root, 'node_modules', '.bin');
  await runChild(node.path, [...node.flags, ...job(rest)], {
    cwd: root,
    env: { ...process.env, PATH: [bin, process.env.PATH].join(delimiter) },
  });
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
