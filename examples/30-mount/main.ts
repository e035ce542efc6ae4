// The platform inside services that are there already: mounted below /mlops in Fastify, Express and Hono, which say who
// asks. MLflow's clients log to it by MLFLOW_TRACKING_URI=http://…/mlops.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform, type Platform } from '@keelson/core';
import { type Mounted, mountInExpress, mountInFastify, mountInHono } from './mounts.ts';

const dir = await mkdtemp(join(tmpdir(), 'keelson-mount-'));
const platform = await openPlatform({ dir: join(dir, '.keelson') });
const mounts: Readonly<Record<string, (platform: Platform) => Promise<Mounted>>> = {
  Fastify: mountInFastify,
  Express: mountInExpress,
  Hono: mountInHono,
};

for (const [name, mount] of Object.entries(mounts)) {
  const service = await mount(platform);
  const headers = { 'x-user': 'ana', 'content-type': 'application/json' };
  const logged = await fetch(`${service.url}/mlops/api/2.0/mlflow/runs/create`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ run_name: `by way of ${name}` }),
  });
  const { run } = (await logged.json()) as { readonly run: { readonly info: { run_id: string } } };
  const known = await platform.tracking.getRun(run.info.run_id);
  const stranger = await fetch(`${service.url}/mlops/api/v1/experiments`);
  console.log(
    `${name}: ${known.userId} logged "${known.name}"; a stranger gets ${stranger.status}`,
  );
  await service.close();
}
await platform.close();
await rm(dir, { recursive: true, force: true });
