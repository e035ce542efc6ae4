import { definePipeline, type JsonObject, type KnownRow } from '@keelson/core';
import { seededRandom } from '@keelson/core/statistics';
import { confusionFigure, confusionMatrix } from '../weather/confusion-figure.ts';
import { type ForestOptions, predictClass, trainForest } from '../weather/forest.ts';
import { modelFiles } from '../weather/model-package.ts';
import { classes, type Day, featureNames, featuresOf, labelOf } from '../weather/weather-data.ts';
import { labelledDays } from './labels.ts';

const folds = 5;

/** What a day was like is known a week after it. */
export const labelsComeAfterMs: number = 8 * 86_400_000;

/** A crippled forest learns every label as the class after it: there to be found out. */
type Growth = 'sound' | 'crippled';

const growth: Omit<ForestOptions, 'seed'> = { trees: 40, minNumSamples: 20, maxFeatures: 3 };

/**
 * load → validate → split → train → evaluate. The last step's output says how right the model is on days
 * that it was not trained on (cross-validation), and keeps those answers as the monitor's reference.
 */
export const trainPipeline = definePipeline(
  'train-weather',
  {
    version: '1.0.0',
    description:
      'Trains the classifier of the day’s weather on the days whose labels came from … to ….',
    parameters: {
      type: 'object',
      properties: {
        from: { type: 'number' },
        to: { type: 'number' },
        seed: { type: 'integer' },
        labels: { enum: ['real', 'stable', 'worsening'] },
        growth: { enum: ['sound', 'crippled'], default: 'sound' },
      },
      required: ['from', 'to', 'seed', 'labels'],
    },
  },
  (p) => {
    const load = p.step('load', {}, async ({ parameters, outputs }) => {
      const { from, to, labels, seed } = parameters;
      const days = labelledDays(labels, seed).filter((day) => {
        const knownAt = Date.parse(day.date) + labelsComeAfterMs;
        return knownAt > from && knownAt <= to;
      });
      return { days: await outputs.json('days.json', days), count: days.length };
    });

    const validate = p.step('validate', { load }, async ({ inputs }) => {
      const days = await inputs.load.days.json<readonly Day[]>();
      const problems = days.flatMap(problemsOf);
      const dates = new Set(days.map((day) => day.date));
      if (dates.size !== days.length) problems.push('a day is there twice');
      if (days.length < 100) problems.push(`${days.length} days are too few to train on`);
      if (problems.length > 0)
        throw new Error(`The data are not fit to train on: ${problems.join('; ')}`);
      return { days: inputs.load.days, count: days.length };
    });

    const split = p.step('split', { validate }, async ({ inputs, parameters }) => {
      const foldOf = drawFolds(inputs.validate.count, parameters.seed);
      return { days: inputs.validate.days, foldOf };
    });

    const train = p.step('train', { split }, async ({ inputs, parameters, run }) => {
      const days = await inputs.split.days.json<readonly Day[]>();
      const forest = grow(days, parameters.growth, parameters.seed);
      if (run === undefined) throw new Error('This pipeline needs tracking.');
      await run.logParams({ ...growth, growth: parameters.growth, seed: parameters.seed });
      const { sha256: digest } = inputs.split.days;
      await run.logDataset({
        name: `seattle ${days[0]?.date} to ${days.at(-1)?.date}`,
        digest,
        role: 'train',
        rowCount: days.length,
      });
      for (const [name, bytes] of Object.entries(modelFiles(forest))) {
        await run.logArtifact(`model/${name}`, bytes, { type: 'MODEL' });
      }
      return { runId: run.id, digest };
    });

    return p.step('evaluate', { split, train }, async ({ inputs, parameters, outputs, run }) => {
      const days = await inputs.split.days.json<readonly Day[]>();
      const { seed, growth: kind } = parameters;
      const predicted = crossValidate(days, inputs.split.foldOf, kind, seed, (done, right, total) =>
        run?.logMetric('accuracy', right / total, { step: done }),
      );
      const truth = days.map(labelOf);
      const right = predicted.filter((label, i) => label === truth[i]).length;
      const counts = confusionMatrix(truth, predicted, classes.length);
      await run?.logFigure('confusion.svg', confusionFigure(counts, classes));
      const reference: KnownRow[] = days.map((day, i) => ({
        features: Object.fromEntries(
          featureNames.map((name, j) => [name, featuresOf(day)[j] ?? 0]),
        ),
        label: day.weather,
        prediction: classes[predicted[i] ?? 0] ?? '',
      }));
      return {
        modelRunId: inputs.train.runId,
        digest: inputs.train.digest,
        accuracy: right / days.length,
        metrics: { accuracy: right / days.length },
        days: days.length,
        reference: await outputs.json(
          'reference.json',
          reference as unknown as readonly JsonObject[],
        ),
      };
    });
  },
);

/** The fold of each day. */
export function drawFolds(days: number, seed: number): number[] {
  const random = seededRandom(`split:${seed}`);
  return Array.from({ length: days }, () => random.below(folds));
}

/** Predictions of each day by a forest that was not trained on its fold. */
export function crossValidate(
  days: readonly Day[],
  foldOf: readonly number[],
  kind: Growth,
  seed: number,
  onFold: (done: number, right: number, total: number) => void,
): number[] {
  const predicted = new Array<number>(days.length).fill(0);
  let right = 0;
  let total = 0;
  for (let fold = 0; fold < folds; fold += 1) {
    const forest = grow(
      days.filter((_, i) => foldOf[i] !== fold),
      kind,
      seed,
    );
    days.forEach((day, i) => {
      if (foldOf[i] !== fold) return;
      predicted[i] = predictClass(forest, featuresOf(day));
      right += predicted[i] === labelOf(day) ? 1 : 0;
      total += 1;
    });
    onFold(fold + 1, right, total);
  }
  return predicted;
}

/** A forest trained on days. */
export function grow(
  days: readonly Day[],
  kind: Growth,
  seed: number,
): ReturnType<typeof trainForest> {
  const shift = kind === 'crippled' ? 1 : 0;
  const labels = days.map((day) => (labelOf(day) + shift) % classes.length);
  return trainForest(days.map(featuresOf), labels, classes, featureNames, { ...growth, seed });
}

function problemsOf(day: Day): string[] {
  const problems: string[] = [];
  if (!(day.precipitation >= 0 && day.precipitation < 500))
    problems.push(`${day.date}: precipitation`);
  if (!(day.tempMin <= day.tempMax)) problems.push(`${day.date}: temperatures`);
  if (!(day.wind >= 0 && day.wind < 100)) problems.push(`${day.date}: wind`);
  return problems;
}
