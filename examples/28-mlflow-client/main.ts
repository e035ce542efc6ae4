/**
 * A script that logs with MLflow's own client, to a platform: its runs are compared, and its best model is promoted,
 * here. Needs Python with `mlflow-skinny`, `scikit-learn` and `pandas` (`pip install`): `KEELSON_PYTHON`, or `python3`.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openPlatform } from '@keelson/core';
import { startServer } from '@keelson/server';

const run = promisify(execFile);
const python = process.env['KEELSON_PYTHON'] ?? 'python3';
const script = fileURLToPath(new URL('train.py', import.meta.url));
const dir = await mkdtemp(join(tmpdir(), 'keelson-mlflow-'));
const platform = await openPlatform({ dir: join(dir, '.keelson') });
const server = await startServer(platform, { port: 0 });
const { tracking, registry } = platform;

const hasMlflow = await run(python, ['-c', 'import mlflow, sklearn, pandas']).then(
  () => true,
  () => false,
);
if (hasMlflow) {
  const env = { ...process.env, MLFLOW_TRACKING_URI: server.url, MLFLOW_DISABLE_TELEMETRY: 'true' };
  await run(python, [script], { env });
} else {
  console.log(`${python} has no mlflow: the same calls by hand, as its client makes them`);
  await byHand(server.url);
}

const { runs } = await tracking.searchRuns({
  experiment: 'rain',
  orderBy: ['metrics.accuracy DESC'],
});
for (const { name, params, metrics } of runs) {
  console.log(`${name}: accuracy ${metrics['accuracy']?.toFixed(2)} with C = ${params['C']}`);
}
const [best] = runs;
const { versions } = await registry.searchVersions({ filter: `run_id = '${best?.id}'` });
for (const { version } of versions) {
  await registry.requestTransition({
    model: 'rain',
    version,
    to: 'PRODUCTION',
    reason: 'the best',
  });
}
const promoted = await registry.productionVersion('rain');
console.log(`in production: rain ${promoted?.version}, ${promoted?.format}, of run ${best?.name}`);

await server.close();
await platform.close();
await rm(dir, { recursive: true, force: true });

async function byHand(url: string): Promise<void> {
  const post = async (path: string, fields: object): Promise<Answer> => {
    const body = JSON.stringify(fields);
    const answer = await fetch(`${url}/api/2.0/mlflow/${path}`, { method: 'POST', body });
    if (!answer.ok) throw new Error(await answer.text());
    return (await answer.json()) as Answer;
  };
  const { experiment_id = '' } = await post('experiments/create', { name: 'rain' });
  await post('registered-models/create', { name: 'rain' });
  for (const [C, value] of [
    ['0.01', 0.81],
    ['1.0', 0.9],
  ] as const) {
    const made = await post('runs/create', { experiment_id, run_name: `C = ${C}` });
    const { run_id = '', artifact_uri = '' } = made.run?.info ?? {};
    const metrics = [{ key: 'accuracy', value, timestamp: Date.now(), step: 0 }];
    await post('runs/log-batch', { run_id, metrics, params: [{ key: 'C', value: C }] });
    const place = artifact_uri.replace('mlflow-artifacts:/', '');
    await fetch(`${url}/api/2.0/mlflow-artifacts/artifacts/${place}/model/weights.json`, {
      ...{ method: 'PUT', body: JSON.stringify({ C }) },
    });
    await post('model-versions/create', { name: 'rain', source: `runs:/${run_id}/model`, run_id });
    await post('runs/update', { run_id, status: 'FINISHED' });
  }
}

interface Answer {
  readonly experiment_id?: string;
  readonly run?: { readonly info: { readonly run_id: string; readonly artifact_uri: string } };
}
