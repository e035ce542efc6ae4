import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelSignature, RuntimeConfig } from '@keelson/core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type InferenceServer, serve } from '../src/serve.ts';
import { ServingBed } from '../src/testing/serving-bed.ts';
import { findPython } from './python/interpreter.ts';
import {
  makeModels,
  mlflow,
  mlserver,
  type PythonServer,
  slowMs,
  waitFor,
} from './python/python-server.ts';

const python = findPython();

const signature: ModelSignature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2], columns: ['wind', 'cloud'] }],
  outputs: [{ name: 'predict', datatype: 'INT64', shape: [-1] }],
};
const fallbackModel =
  'export const load = () => ({ predict: (_, { rowCount }) => ({ predict: new Array(rowCount).fill(-1) }) });';

describe.skipIf(python === undefined)('real inference servers', () => {
  let models: string;
  let bed: ServingBed;
  let server: InferenceServer | undefined;
  let behind: PythonServer | undefined;

  beforeAll(async () => {
    models = await mkdtemp(join(tmpdir(), 'keelson-remote-'));
    await makeModels(python as string, models);
  }, slowMs);
  afterAll(() => rm(models, { recursive: true, force: true }));

  beforeEach(async () => {
    bed = await ServingBed.open();
    bed.source.putModel({ ...(await bed.addModel('remote', {}, signature)), format: 'SKLEARN' });
    await bed.addModel('local', { 'model.mjs': fallbackModel }, signature);
  });
  afterEach(async () => {
    await server?.close({ timeoutMs: 1000 });
    await behind?.kill();
    await bed[Symbol.asyncDispose]();
  });

  async function front(runtime: RuntimeConfig): Promise<void> {
    bed.setRoute({ remote: 100 }, { fallbackVersionId: 'local' });
    const route = await bed.source.route('weather');
    const options = { breakerOpenMs: 100, breakerMaxOpenMs: 500 };
    const merged = {
      formats: ['SKLEARN'],
      ...runtime,
      options: { ...options, ...runtime.options },
    };
    bed.source.setRoute('weather', { ...route, serving: { runtime: merged } });
    server = await serve(bed.source, { deployments: ['weather'], replicas: 1, timeoutMs: 5_000 });
  }

  async function ask(
    rows: readonly (readonly number[])[],
  ): Promise<{ status: number; values: unknown }> {
    const answer = await fetch(`${server?.url}/v2/models/weather/infer`, {
      method: 'POST',
      body: JSON.stringify({
        inputs: [{ name: 'x', datatype: 'FP64', shape: [rows.length, 2], data: rows }],
      }),
    });
    const json = (await answer.json()) as { outputs?: { data: unknown }[]; error?: string };
    return { status: answer.status, values: json.outputs?.[0]?.data ?? json.error };
  }

  async function killAndBringBack(path: string): Promise<void> {
    const counts = { remote: 0, fallback: 0, wrong: 0 };
    const refused: string[] = [];
    let running = true;
    let slowest = 0;
    const clients = Array.from({ length: 4 }, async (_, client) => {
      for (let i = client; running; i += 1) {
        const startedAt = performance.now();
        const isWet = i % 2 === 0;
        const { status, values } = await ask([isWet ? [9, 9] : [0, 0]]);
        slowest = Math.max(slowest, performance.now() - startedAt);
        const value = (values as readonly unknown[])[0];
        if (status !== 200) refused.push(`${status} ${values}`);
        else if (value === -1) counts.fallback += 1;
        else if (value === (isWet ? 1 : 0)) counts.remote += 1;
        else counts.wrong += 1;
      }
    });
    try {
      await waitFor('answers of the server', async () => counts.remote >= 20);
      await behind?.kill();
      await waitFor('the fallback', async () => counts.fallback >= 50);
      const before = counts.remote;
      await behind?.up(path);
      await waitFor('answers of the server again', async () => counts.remote >= before + 20);
    } finally {
      running = false;
      await Promise.all(clients);
    }
    expect(counts.wrong).toBe(0);
    // Those on their way when it died, and five calls that opened the breaker, each of up to four requests.
    expect(refused.slice(24)).toEqual([]);
    expect(slowest).toBeLessThan(6_000);
  }

  test(
    'MLServer: answers, refuses, is killed and brought back under load',
    async () => {
      behind = await mlserver(python as string, join(models, 'mlserver'));
      await behind.up('/v2/models/rain/ready');
      await front({ name: 'v2', endpoint: behind.url, model: 'rain', options: { load: true } });
      expect(
        await ask([
          [9, 9],
          [0, 0],
          [8, 8],
        ]),
      ).toEqual({ status: 200, values: [1, 0, 1] });
      await killAndBringBack('/v2/models/rain/ready');
    },
    2 * slowMs,
  );

  test(
    "MLflow's scoring server: answers, is killed and brought back under load",
    async () => {
      behind = await mlflow(python as string, join(models, 'mlflow'));
      await behind.up('/ping');
      await front({ name: 'mlflow', endpoint: behind.url });
      expect(
        await ask([
          [9, 9],
          [0, 0],
          [8, 8],
        ]),
      ).toEqual({ status: 200, values: [1, 0, 1] });
      await killAndBringBack('/ping');
    },
    2 * slowMs,
  );
});
