/**
 * Grows forests on Seattle's weather with two settings and several seeds, finds the best by a search,
 * lays them side by side, asks whether one setting is really better, and writes the page of it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openPlatform } from '@keelson/core';
import { predictClass, trainForest } from '../weather/forest.ts';
import {
  classes,
  featureNames,
  featuresOf,
  labelOf,
  loadWeather,
} from '../weather/weather-data.ts';

const { days } = loadWeather();
const train = days.filter((day) => day.year <= 2013);
const test = days.filter((day) => day.year === 2014);
const rows = test.map(featuresOf);
const truth = test.map(labelOf);
const trees = 12;
const seeds = [1, 2, 3, 4];

const platform = await openPlatform();
const { tracking } = platform;

await tracking.defineMetric({
  name: 'test_accuracy',
  aliases: ['test_acc'],
  direction: 'higher',
  description: 'Share of the days of 2014 that were told right.',
});

const groups: Record<string, string[]> = { 'small leaves': [], 'large leaves': [] };
for (const seed of seeds) {
  groups['small leaves']?.push(await grow(4, seed));
  groups['large leaves']?.push(await grow(150, seed));
  console.log(`Seed ${seed} of ${seeds.length}: two forests of ${trees} trees.`);
}

const { runs } = await tracking.searchRuns({
  experiment: 'weather-compare',
  filter: 'metrics.test_accuracy > 0.5 AND params.trees = 12',
  orderBy: ['metrics.test_accuracy DESC'],
  limit: 4,
});
const [best] = runs;
if (best === undefined) throw new Error('The search found no run.');
const compared = runs.map((run) => run.id);

const comparison = await tracking.compareRuns(compared, { baseline: best.id });
console.log(`\nThe best ${runs.length} by a search, against ${best.name}:`);
for (const [i, run] of comparison.runs.entries()) {
  const accuracy = comparison.metrics.find((metric) => metric.name === 'test_accuracy');
  const figures = accuracy?.figures[i];
  console.log(
    `  ${run.name.padEnd(24)} final ${figures?.final.toFixed(3)}, best ${figures?.best?.toFixed(3)}, settled at tree ${figures?.convergenceStep ?? '–'}, ${accuracy?.fromBaseline?.[i]?.verdict}`,
  );
}
console.log(`  They differ in: ${comparison.params.map(({ key }) => key).join(', ')}.`);

const { metrics } = await tracking.compareGroups({ groups, metrics: ['test_accuracy'] });
for (const pair of metrics[0]?.pairs ?? []) {
  const { low, high } = pair.interval;
  console.log(
    `\n${pair.second} less ${pair.first}: ${pair.difference.toFixed(4)} (95 %: ${low.toFixed(4)} to ${high.toFixed(4)}), Welch p = ${pair.welch.adjustedPValue.toPrecision(2)}, Mann–Whitney p = ${pair.mannWhitney.adjustedPValue.toPrecision(2)}.`,
  );
  console.log(
    pair.better === undefined
      ? `Neither is shown to be better by ${seeds.length} seeds.`
      : `Better: ${pair.better}.`,
  );
}

const pages = join(platform.dir, 'pages');
mkdirSync(pages, { recursive: true });
const file = join(pages, 'comparison.html');
writeFileSync(file, await tracking.comparisonPage(compared, { baseline: best.id }));
console.log(`\nPage of the comparison: ${pathToFileURL(file)}`);
await platform.close();

/** One run: a forest, and its accuracy as it grows. */
async function grow(minNumSamples: number, seed: number): Promise<string> {
  const options = { trees, minNumSamples, maxFeatures: 3, seed };
  const name = `leaves of ${minNumSamples}, seed ${seed}`;
  return tracking.withRun({ experiment: 'weather-compare', name, params: options }, async (run) => {
    const forest = trainForest(
      train.map(featuresOf),
      train.map(labelOf),
      classes,
      featureNames,
      options,
    );
    for (let grown = 1; grown <= trees; grown += 1) {
      const right = rows.filter((row, i) => predictClass(forest, row, grown) === truth[i]).length;
      run.logMetric('test_accuracy', right / truth.length, { step: grown });
    }
    await run.logJson('model/forest.json', forest);
    return run.id;
  });
}
