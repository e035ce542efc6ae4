// Runs in an empty project that has the packed packages installed, as a user's first script:
// imports every subpath named on the command line, then writes a run and reads it back.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

for (const name of process.argv.slice(2)) {
  assert.ok(!import.meta.resolve(name).endsWith('.ts'), `${name} resolves to a source`);
  assert.ok(Object.keys(await import(name)).length > 0, `${name} exports nothing`);
}

const { openPlatform } = await import('@keelson/core');
const dir = mkdtempSync(join(tmpdir(), 'keelson-smoke-'));
const platform = await openPlatform({ dir });
await platform.tracking.withRun({ experiment: 'smoke' }, (run) => run.logMetric('answer', 42));
const page = await platform.tracking.searchRuns({ filter: 'metrics.answer = 42' });
assert.equal(page.runs.length, 1, 'the run is not found by its metric');
await platform.close();
assert.ok(existsSync(dir));
rmSync(dir, { recursive: true });
