/**
 * Python in the loop: one step of a pipeline is a Python script, which gets its inputs, parameters and the last
 * checkpoint by variables and files, and answers with files. Its metrics land in a run of tracking while it runs.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { definePipeline, openPlatform } from '@keelson/core';

const script = fileURLToPath(new URL('./train.py', import.meta.url));
const dir = join(await mkdtemp(join(tmpdir(), 'keelson-python-')), '.keelson');
const platform = await openPlatform({ dir });
const { pipelines, tracking } = platform;

const train = definePipeline(
  'python',
  {
    version: '1.0.0',
    parameters: {
      type: 'object',
      properties: {
        rate: { type: 'number', default: 0.05 },
        epochs: { type: 'integer', default: 40 },
      },
    },
  },
  (p) => {
    const rows = p.step('load', {}, () =>
      Array.from({ length: 50 }, (_, i) => [i / 50, 3 * (i / 50) + 1]),
    );
    const model = p.command('train', { rows }, ['python3', script], {
      files: [script],
      outputs: {
        model: { type: 'model' },
        report: {
          type: 'parameter',
          schema: { type: 'object', properties: { loss: { type: 'number' } }, required: ['loss'] },
        },
      },
      // Exit code 75 says that trying again may help.
      retries: { limit: 2, delayMs: 10 },
    });
    return p.step(
      'check',
      { model: model.pick('model'), report: model.pick('report') },
      async ({ inputs }) => {
        const { w, b } = await inputs.model.json<{ w: number; b: number }>();
        return { w: Math.round(w), b: Math.round(b), loss: inputs.report.loss };
      },
    );
  },
);

const execution = await pipelines.start(train, {});
const { status, output } = await pipelines.wait(execution);
console.log(status, output);
for await (const { stream, text } of pipelines.logs(execution.id, 'train'))
  process.stdout.write(`  ${stream}: ${text}`);
const step = (await pipelines.steps(execution.id)).find(({ step: name }) => name === 'train');
console.log(
  `attempts ${step?.attempt}, exit code ${step?.exitCode}, ${JSON.stringify(step?.usage)}`,
);

const { runs } = await tracking.searchRuns({ filter: "params.model = 'linear'" });
for (const run of runs) {
  const { values } = await tracking.getMetricHistory(run.id, 'loss');
  console.log(
    `${run.name}: ${run.status}, ${values.length} losses, the last ${values.at(-1)?.toExponential(2)}`,
  );
}

// The same again is not computed again.
const again = await pipelines.wait(await pipelines.start(train, {}));
console.log((await pipelines.explainCache(again.id, 'train')).explanation);

await platform.close();
await rm(join(dir, '..'), { recursive: true });
