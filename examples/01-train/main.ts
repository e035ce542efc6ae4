/**
 * Trains a classifier of Seattle's weather: a small sweep as nested runs, with params, a metric for each
 * tree, a confusion matrix as a figure, and the best model as an artifact.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { openPlatform } from '@keelson/core';
import { confusionFigure, confusionMatrix } from '../weather/confusion-figure.ts';
import { type ForestOptions, predictClass, trainForest } from '../weather/forest.ts';
import {
  classes,
  featureNames,
  featuresOf,
  labelOf,
  loadWeather,
} from '../weather/weather-data.ts';

const seed = 7;
const { values: given } = parseArgs({ options: { trees: { type: 'string', default: '40' } } });
const grid: readonly ForestOptions[] = [8, 20].flatMap((minNumSamples) =>
  [2, 3, 5].map((maxFeatures) => ({
    trees: Number(given.trees),
    minNumSamples,
    maxFeatures,
    seed,
  })),
);

const { days, sha256 } = loadWeather();
const train = days.filter((day) => day.year <= 2013);
const test = days.filter((day) => day.year === 2014);
const truth = test.map(labelOf);
const rows = test.map(featuresOf);

const platform = await openPlatform();
const { tracking } = platform;
console.log(
  `Seattle 2012–2014: ${train.length} days to train on, ${test.length} to test; seed ${seed}.`,
);

const sweepId = await tracking.withRun({ experiment: 'weather', name: 'sweep' }, async (sweep) => {
  await sweep.logDataset({
    name: 'seattle-2012-2013',
    digest: sha256,
    role: 'train',
    rowCount: train.length,
  });
  await sweep.logDataset({
    name: 'seattle-2014',
    digest: sha256,
    role: 'test',
    rowCount: test.length,
  });
  for (const [i, options] of grid.entries()) {
    const accuracy = await trainOne(options);
    sweep.logMetric('test_accuracy', accuracy, { step: i + 1 });
    console.log(
      `[${i + 1}/${grid.length}] leaves of ${options.minNumSamples}, ${options.maxFeatures} features a tree: accuracy ${accuracy.toFixed(3)}`,
    );
  }
  return sweep.id;
});

const { runs } = await tracking.searchRuns({
  experiment: 'weather',
  parentRunId: sweepId,
  filter: "metrics.test_accuracy > 0.5 AND attributes.status = 'COMPLETED'",
  orderBy: ['metrics.test_accuracy DESC'],
  limit: 3,
});
console.log('\nThe best runs, by a search:');
for (const run of runs) {
  console.log(
    `  ${run.name.padEnd(28)} ${run.metrics['test_accuracy']?.toFixed(3)}  min_samples ${run.params['minNumSamples']}, max_features ${run.params['maxFeatures']}`,
  );
}

const pages = join(platform.dir, 'pages');
mkdirSync(pages, { recursive: true });
const best = runs[0];
for (const [name, id] of [
  ['sweep', sweepId],
  ['best', best?.id],
] as const) {
  if (id === undefined) continue;
  const file = join(pages, `${name}.html`);
  writeFileSync(file, await tracking.runPage(id));
  console.log(`Page of the ${name} run: ${pathToFileURL(file)}`);
}
await platform.close();

/** One nested run: trains, logs the accuracy as the forest grows, keeps figure and model. */
async function trainOne(options: ForestOptions): Promise<number> {
  return tracking.withRun({ experiment: 'weather', params: options }, async (run) => {
    const forest = trainForest(
      train.map(featuresOf),
      train.map(labelOf),
      classes,
      featureNames,
      options,
    );
    let predicted: number[] = [];
    for (let trees = 1; trees <= options.trees; trees += 1) {
      predicted = rows.map((row) => predictClass(forest, row, trees));
      const right = predicted.filter((label, i) => label === truth[i]).length;
      run.logMetric('test_accuracy', right / truth.length, { step: trees });
    }
    const counts = confusionMatrix(truth, predicted, classes.length);
    await run.logFigure('confusion.svg', confusionFigure(counts, classes));
    await run.logJson('confusion.json', { classes, counts });
    await run.logJson('model/forest.json', forest);
    return predicted.filter((label, i) => label === truth[i]).length / truth.length;
  });
}
