/**
 * A scikit-learn model on MLServer behind a deployment: one address, one log of predictions, and an answer also while
 * the server is gone. Needs Python with `mlserver`, `mlserver-sklearn` (`pip install`): `KEELSON_PYTHON`, or `python3`.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openPlatform } from '@keelson/core';
import { serve } from '@keelson/serve';

const python = process.env['KEELSON_PYTHON'] ?? 'python3';
const dir = await mkdtemp(join(tmpdir(), 'keelson-mlserver-'));
const models = join(dir, 'models');
execFileSync(python, [fileURLToPath(new URL('train.py', import.meta.url)), models]);
const port = await freePort();
const endpoint = `http://127.0.0.1:${port}`;
let mlserver = await startMlserver();

const platform = await openPlatform({ dir: join(dir, '.keelson') });
await platform.registry.createModel({ name: 'rain' });
const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2], columns: ['wind', 'cloud'] }],
  outputs: [{ name: 'predict', datatype: 'INT64', shape: [-1] }],
} as const;
const rule =
  'export const load = () => ({ predict: ({ x }, { rowCount }) => ({ predict: Array.from({ length: rowCount }, (_, i) => Number(x.data[2 * i + 1] > 4)) }) });';
const byRule = await platform.registry.register({
  ...{ model: 'rain', format: 'JS', signature },
  from: { files: { 'model.mjs': Buffer.from(rule) } },
});
const byModel = await platform.registry.register({
  ...{ model: 'rain', format: 'SKLEARN', signature },
  from: { files: { 'model.joblib': await readFile(join(models, 'model.joblib')) } },
});
await platform.deployments.create({
  name: 'rain',
  versionId: byModel.id,
  environment: 'DEVELOPMENT',
  traffic: { fallbackVersionId: byRule.id },
  // What is no scikit-learn model, the rule for one, runs here.
  serving: {
    runtime: { name: 'v2', endpoint, formats: ['SKLEARN'], options: { breakerMaxOpenMs: 1000 } },
  },
});
const server = await serve(platform, { deployments: ['rain'], timeoutMs: 5000 });

console.log(`with MLServer: ${await ask()}`);
mlserver.kill('SIGKILL');
await once(mlserver, 'exit');
while ((await ask()) !== `200 by ${byRule.version}`) await rest(10);
console.log(`without: ${await ask()}`);
mlserver = await startMlserver();
while ((await ask()) !== `200 by ${byModel.version}`) await rest(50);
console.log(`with it again: ${await ask()}`);

await server.close();
await platform.close();
mlserver.kill();
await once(mlserver, 'exit');
await rm(dir, { recursive: true });

async function ask(): Promise<string> {
  const inputs = [{ name: 'x', datatype: 'FP64', shape: [1, 2], data: [6, 6] }];
  const answer = await fetch(`${server.url}/v2/models/rain/infer`, {
    method: 'POST',
    body: JSON.stringify({ inputs }),
  });
  await answer.arrayBuffer();
  return `${answer.status} by ${answer.headers.get('x-model-version')}`;
}

async function startMlserver(): Promise<ChildProcess> {
  const script = 'from mlserver.cli import main; main()';
  const child = spawn(python, ['-c', script, 'start', models], {
    stdio: 'ignore',
    env: {
      ...process.env,
      PATH: `${dirname(python)}:${process.env['PATH']}`,
      MLSERVER_HOST: '127.0.0.1',
      MLSERVER_HTTP_PORT: String(port),
      MLSERVER_GRPC_PORT: String(await freePort()),
      MLSERVER_METRICS_PORT: String(await freePort()),
      MLSERVER_PARALLEL_WORKERS: '0',
    },
  });
  for (;;) {
    if (child.exitCode !== null) throw new Error('MLServer did not start.');
    const answer = await fetch(`${endpoint}/v2/models/rain/ready`).catch(() => undefined);
    if (answer?.ok) return child;
    await rest(100);
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
