/**
 * Trains a small dense net on Seattle's weather with TF.js: the callback logs each epoch, the save handler
 * keeps the model among the run's artifacts, and the load handler brings it back.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openPlatform } from '@keelson/core';
import { reloadNet, trainNet } from './train-net.ts';

const platform = await openPlatform();
const { tracking } = platform;

const trained = await trainNet(tracking, { units: 16, rate: 0.01, epochs: 15, batchSize: 64 });
const { runId, accuracy } = trained;
console.log(`Trained; accuracy on the days of 2014: ${accuracy.toFixed(3)}.`);

const reloaded = await reloadNet(tracking, runId);
console.log(`The model, loaded from the run's artifacts, has ${reloaded.toFixed(3)}.`);
if (reloaded !== accuracy) throw new Error('The model did not come back as it went.');

const history = await tracking.getMetricHistory(runId, 'val_acc');
console.log(`${history.steps.length} epochs are in the history of val_acc.`);
for (const { path, sizeBytes } of (await tracking.listArtifacts(runId)).artifacts)
  console.log(`  ${path.padEnd(20)} ${sizeBytes} bytes`);

const pages = join(platform.dir, 'pages');
mkdirSync(pages, { recursive: true });
const file = join(pages, 'tfjs-training.html');
writeFileSync(file, await tracking.runPage(runId));
console.log(`Page of the run: ${pathToFileURL(file)}`);
await platform.close();
