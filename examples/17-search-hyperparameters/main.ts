/**
 * A search over hyperparameters as a pipeline: a fan-out trains one model for each setting, a few at once, and
 * ends the others when one is good enough; the best is selected, and published only if it is better than what
 * is there. Killed at any moment, it goes on where it was.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { definePipeline, openPlatform, watchExecution } from '@keelson/core';

interface Setting {
  readonly rate: number;
  readonly epochs: number;
}

interface Trained extends Setting {
  readonly weights: readonly number[];
  readonly accuracy: number;
}

/** Two clouds of points, told apart by the sign of x + y. */
function cloud(seed: number, n: number): number[][] {
  let state = seed;
  const random = (): number => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32 - 0.5;
  };
  return Array.from({ length: n }, () => {
    const [x, y] = [random(), random()];
    return [x, y, x + y > 0.02 * random() ? 1 : 0];
  });
}

function fit(rows: readonly number[][], { rate, epochs }: Setting): number[] {
  const w = [0, 0, 0];
  for (let epoch = 0; epoch < epochs; epoch += 1) {
    for (const [x = 0, y = 0, label = 0] of rows) {
      const p = 1 / (1 + Math.exp(-(w[0]! * x + w[1]! * y + w[2]!)));
      for (const [i, v] of [x, y, 1].entries()) w[i]! += rate * (label - p) * v;
    }
  }
  return w;
}

function accuracyOf(w: readonly number[], rows: readonly number[][]): number {
  const right = rows.filter(
    ([x = 0, y = 0, label = 0]) => (w[0]! * x + w[1]! * y + w[2]! > 0 ? 1 : 0) === label,
  );
  return right.length / rows.length;
}

const search = definePipeline(
  'search',
  {
    version: '1.0.0',
    parameters: { type: 'object', properties: { atLeast: { type: 'number', default: 0.9 } } },
  },
  (p) => {
    const data = p.step('split', {}, () => ({ train: cloud(1, 400), test: cloud(2, 200) }));
    const settings = p.step('settings', {}, () =>
      [0.0001, 0.001, 0.01, 0.1, 1].flatMap((rate) =>
        [1, 4, 16].map((epochs): Setting => ({ rate, epochs })),
      ),
    );
    const tried = p.forEach(
      'try',
      settings,
      { data },
      ({ inputs: { item, data: rows }, run }): Trained => {
        const weights = fit(rows.train, item);
        const accuracy = accuracyOf(weights, rows.test);
        run?.logMetric('accuracy', accuracy);
        return { ...item, weights, accuracy };
      },
      { maxParallel: 3, stopWhen: 'output.accuracy > 0.975', onFailure: 'continue' },
    );
    const best = p.step('select', { tried }, ({ inputs }) => {
      const done = inputs.tried.filter((each) => each !== null);
      return {
        tried: done.length,
        of: inputs.tried.length,
        best: done.toSorted((a, b) => b.accuracy - a.accuracy)[0] ?? null,
      };
    });
    const published = p.step(
      'publish',
      { best },
      ({ inputs }) => `published with ${inputs.best.best?.accuracy}`,
      {
        when: 'outputs.select.best.accuracy >= parameters.atLeast',
      },
    );
    return p.step(
      'report',
      { best, published },
      ({ inputs }) => ({ ...inputs.best, published: inputs.published ?? 'not published' }),
      {
        join: 'ended',
      },
    );
  },
);

const dir = join(await mkdtemp(join(tmpdir(), 'keelson-search-')), '.keelson');
const platform = await openPlatform({ dir });
const { pipelines } = platform;
const execution = await pipelines.start(search, {});
// In a terminal it is drawn in place; elsewhere each change is a line.
const { status, output } = await watchExecution(pipelines, execution, { output: process.stderr });
console.log(status, output);
const items = await pipelines.items(execution.id, 'try');
for (const { item, status: how, skipReason } of items.map((each) => ({
  ...each,
  item: Number(each.mapKey),
}))) {
  console.log(`  setting ${item}: ${how}${skipReason === undefined ? '' : ` (${skipReason})`}`);
}
const strict = await pipelines.wait(await pipelines.start(search, { atLeast: 1.1 }));
console.log(strict.output?.published);

await platform.close();
await rm(join(dir, '..'), { recursive: true });
