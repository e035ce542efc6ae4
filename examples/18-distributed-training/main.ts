/**
 * Data-parallel training over four processes that start together or not at all: each has its share of the rows,
 * gradients are averaged after every epoch. One of them is killed in the middle; all of them begin again from
 * the last checkpoint, and the result is that of an undisturbed training.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { definePipeline, openPlatform } from '@keelson/core';

const worker = fileURLToPath(new URL('./worker.ts', import.meta.url));
const dir = join(await mkdtemp(join(tmpdir(), 'keelson-distributed-')), '.keelson');
const platform = await openPlatform({ dir });
const { pipelines, tracking } = platform;

const training = definePipeline(
  'distributed',
  {
    version: '1.0.0',
    parameters: { type: 'object', properties: { epochs: { type: 'integer', default: 60 } } },
  },
  (p) => {
    const rows = p.step('load', {}, () =>
      Array.from({ length: 400 }, (_, i) => {
        const [x, y] = [(i % 20) / 20, Math.floor(i / 20) / 20];
        return [x, y, 2 * x - y + 0.5];
      }),
    );
    const trained = p.command('train', { rows }, [process.execPath, worker], {
      distributed: { nodes: 2, processesPerNode: 2, strategy: 'data' },
      resources: { cpuCores: 0.25 },
      outputs: {
        weights: { type: 'parameter', schema: { type: 'array', items: { type: 'number' } } },
      },
      retries: { limit: 2, delayMs: 10 },
    });
    return p.step('round', { weights: trained.pick('weights') }, ({ inputs }) =>
      inputs.weights.map((w) => Number(w.toFixed(2))),
    );
  },
);

const execution = await pipelines.start(training, {});
const { status, output } = await pipelines.wait(execution);
console.log(status, output);
const step = (await pipelines.steps(execution.id)).find((each) => each.step === 'train');
console.log(`attempt ${step?.attempt}; reserved: ${JSON.stringify(step?.allocated)}`);
for await (const { text } of pipelines.logs(execution.id, 'train'))
  process.stdout.write(`  ${text}`);
const { runs } = await tracking.searchRuns({ filter: "tags.`keelson.step` = 'train'" });
for (const run of runs) {
  const { values } = await tracking.getMetricHistory(run.id, 'loss');
  console.log(
    `${run.name}: ${run.status}, loss ${values[0]?.toFixed(3)} → ${values.at(-1)?.toFixed(5)} in ${values.length} epochs`,
  );
}

await platform.close();
await rm(join(dir, '..'), { recursive: true });
