/**
 * Keeps what a platform knows: a backup while it works, verified without it and restored beside it; and one
 * experiment moved to another platform as a tar, with ids, history, points and artifacts.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform, restoreBackup, verifyBackup } from '@keelson/core';

const scratch = mkdtempSync(join(tmpdir(), 'keelson-backup-'));
const platform = await openPlatform();
const { tracking, operations } = platform;
for (const rate of [0.1, 0.01]) {
  await tracking.withRun({ experiment: 'fraud/cnn', params: { rate } }, async (run) => {
    for (let step = 0; step < 100; step++) run.logMetric('loss', Math.exp(-rate * step), { step });
    await run.logArtifact('model.bin', new Uint8Array(2 ** 20).fill(100 * rate));
  });
}

const backup = await operations.backup(join(scratch, 'monday'));
console.log(
  `Backed up: ${backup.databaseBytes} bytes of records and points, ${backup.contents} contents`,
);
const check = await verifyBackup(backup.dir);
console.log(`Verified: ${check.findings.length} findings`);
const restored = await restoreBackup(backup.dir, { dir: join(scratch, 'restored') });
await using again = await openPlatform({ dir: restored.dir });
const { runs } = await again.tracking.searchRuns({ orderBy: ['metrics.loss ASC'] });
console.log(
  `Restored: ${runs.map((run) => `${run.name} ${run.metrics['loss']?.toFixed(4)}`).join(', ')}`,
);

const tar = join(scratch, 'fraud.tar');
const exported = await tracking.exportExperiments({ to: tar, experiments: ['fraud/cnn'] });
await using elsewhere = await openPlatform({ dir: join(scratch, 'elsewhere') });
const imported = await elsewhere.tracking.importExperiments({ from: tar });
console.log(
  `Exported ${exported.runs} runs as a tar, imported ${imported.added.runs} elsewhere, ids kept`,
);
for (const run of runs) {
  const there = await elsewhere.tracking.getRun(run.id);
  const { steps } = await elsewhere.tracking.getMetricHistory(run.id, 'loss');
  console.log(`  ${there.name}: rate ${there.params['rate']}, ${steps.length} points of loss`);
}
const { findings } = await elsewhere.operations.verify({ contents: 'read' });
console.log(`Every content read there: ${findings.length} findings`);
await platform.close();
