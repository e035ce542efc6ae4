/**
 * Python in a container: the same training step as in `16-python-step`, with nothing of this machine but what it is
 * given, and no network. Needs a Docker Engine (`DOCKER_HOST` says where) and an image with Python:
 * `KEELSON_PYTHON_IMAGE`, or `python:3.12-slim`, which is pulled.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { definePipeline, openPlatform } from '@keelson/core';
import { dockerExecutor } from '@keelson/runner-docker';

const script = fileURLToPath(new URL('../16-python-step/train.py', import.meta.url));
const image = process.env['KEELSON_PYTHON_IMAGE'] ?? 'python:3.12-slim';
const dir = join(await mkdtemp(join(tmpdir(), 'keelson-containers-')), '.keelson');
const executor = dockerExecutor();
const { ok, message } = await executor.health();
if (!ok) {
  console.error(`This example needs a Docker Engine. ${message}`);
  process.exit(1);
}
const platform = await openPlatform({ dir, executors: [executor] });
const { pipelines, tracking } = platform;

const train = definePipeline(
  'python-in-containers',
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
    // The code is an input like any other: another script is another result.
    const code = p.step('code', {}, ({ outputs }) =>
      outputs.artifact('train.py', { path: script }),
    );
    const rows = p.step('load', {}, () =>
      Array.from({ length: 50 }, (_, i) => [i / 50, 3 * (i / 50) + 1]),
    );
    const model = p.image(
      'train',
      { rows, code },
      { image, command: ['/bin/sh', '-c', 'exec python3 "$KEELSON_INPUT_CODE_PATH"'] },
      {
        outputs: {
          model: { type: 'model' },
          report: {
            type: 'parameter',
            schema: {
              type: 'object',
              properties: { loss: { type: 'number' } },
              required: ['loss'],
            },
          },
        },
        resources: { cpuCores: 1, memoryBytes: 256 * 2 ** 20 },
        // Exit code 75 says that trying again may help.
        retries: { limit: 2, delayMs: 10 },
      },
    );
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
const { status, output, failure } = await pipelines.wait(execution);
console.log(status, output ?? failure?.message);
for await (const { stream, text } of pipelines.logs(execution.id, 'train'))
  process.stdout.write(`  ${stream}: ${text}`);
const step = (await pipelines.steps(execution.id)).find(({ step: name }) => name === 'train');
console.log(`attempt ${step?.attempt} on ${step?.node}, exit code ${step?.exitCode}`);
console.log(`image ${step?.image}`);

const { runs } = await tracking.searchRuns({ filter: "params.model = 'linear'" });
for (const run of runs) {
  const { values } = await tracking.getMetricHistory(run.id, 'loss');
  console.log(`${run.name}: ${run.status}, ${values.length} losses`);
}

// The same again, with the same image, is not computed again.
const again = await pipelines.wait(await pipelines.start(train, {}));
console.log((await pipelines.explainCache(again.id, 'train')).explanation);

await platform.close();
await executor.close();
await rm(join(dir, '..'), { recursive: true });
