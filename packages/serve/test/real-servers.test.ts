import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ModelSignature, RuntimeConfig } from '@keelson/core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type InferenceServer, serve } from '../src/serve.ts';
import { ServingBed } from '../src/testing/serving-bed.ts';
import { findPython } from './python/interpreter.ts';

const python = findPython();
const slowMs = 90_000;

const signature: ModelSignature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2], columns: ['wind', 'cloud'] }],
  outputs: [{ name: 'predict', datatype: 'INT64', shape: [-1] }],
};
const fallbackModel =
  'export const load = () => ({ predict: (_, { rowCount }) => ({ predict: new Array(rowCount).fill(-1) }) });';

/** A server in Python, which a test kills and brings back. */
class PythonServer {
  readonly port: number;
  readonly #start: (port: number) => ChildProcess;
  #child: ChildProcess | undefined;
  said = '';

  private constructor(port: number, start: (port: number) => ChildProcess) {
    this.port = port;
    this.#start = start;
  }

  static async at(start: (port: number) => ChildProcess): Promise<PythonServer> {
    return new PythonServer(await freePort(), start);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Resolves when `path` is answered with 200. */
  async up(path: string): Promise<void> {
    const child = this.#start(this.port);
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => {
        this.said = (this.said + String(chunk)).slice(-5_000);
      });
    }
    await waitFor(`${this.url}${path}`, async () => {
      if (child.exitCode !== null) throw new Error(`The server did not start:\n${this.said}`);
      const answer = await fetch(`${this.url}${path}`).catch(() => undefined);
      return answer?.status === 200;
    });
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.pid === undefined) return;
    const gone = once(child, 'exit');
    // The group: servers have workers.
    process.kill(-child.pid, 'SIGKILL');
    await gone;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function waitFor(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + slowMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`Waited in vain for ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe.skipIf(python === undefined)('real inference servers', () => {
  let models: string;
  let bed: ServingBed;
  let server: InferenceServer | undefined;
  let behind: PythonServer | undefined;

  beforeAll(async () => {
    models = await mkdtemp(join(tmpdir(), 'keelson-remote-'));
    const script = fileURLToPath(new URL('python/make_models.py', import.meta.url));
    await promisify(execFile)(python as string, [script, models], { timeout: slowMs });
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

  /** MLflow starts uvicorn by its name. */
  function pathOf(): string {
    return [dirname(python as string), process.env['PATH']].join(delimiter);
  }

  function spawnPython(args: readonly string[], cwd: string): ChildProcess {
    return spawn(python as string, args, {
      cwd,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, MLFLOW_DISABLE_TELEMETRY: 'true', PATH: pathOf() },
    });
  }

  async function mlserver(): Promise<PythonServer> {
    const [grpcPort, metricsPort] = [await freePort(), await freePort()];
    const directory = join(models, 'mlserver');
    return PythonServer.at((port) => spawnMlserver(directory, port, grpcPort, metricsPort));
  }

  function spawnMlserver(
    directory: string,
    port: number,
    grpc: number,
    metrics: number,
  ): ChildProcess {
    const script = join(dirname(python as string), 'mlserver');
    const child = spawn(python as string, [script, 'start', directory], {
      cwd: directory,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        MLSERVER_HOST: '127.0.0.1',
        MLSERVER_HTTP_PORT: String(port),
        MLSERVER_GRPC_PORT: String(grpc),
        MLSERVER_METRICS_PORT: String(metrics),
        MLSERVER_PARALLEL_WORKERS: '0',
      },
    });
    return child;
  }

  function mlflow(): Promise<PythonServer> {
    const path = join(models, 'mlflow');
    return PythonServer.at((port) =>
      spawnPython(
        [
          '-m',
          'mlflow',
          'models',
          'serve',
          '-m',
          path,
          '--env-manager',
          'local',
          '--host',
          '127.0.0.1',
          '--port',
          String(port),
          '--workers',
          '1',
        ],
        models,
      ),
    );
  }

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
      behind = await mlserver();
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
      behind = await mlflow();
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
