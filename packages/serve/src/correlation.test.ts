import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import {
  definePipeline,
  headersOfCorrelation,
  historyText,
  type Logger,
  openPlatform,
  type Platform,
  withCorrelation,
} from '@keelson/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { serve } from './serve.ts';
import { weatherBody, weatherModule, weatherSignature } from './testing/serving-bed.ts';

const correlationId = 'order-4711';
const lines: { readonly fields: object; readonly message: string }[] = [];
const log: Logger['info'] = (fields, message) => void lines.push({ fields, message });
const logger: Logger = { debug: log, info: log, warn: log, error: log };

let dir: string;
let platform: Platform;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keelson-correlation-'));
  platform = await openPlatform({ dir, logger });
});

afterEach(async () => {
  await platform.close();
  await rm(dir, { recursive: true, force: true });
});

/** A pipeline whose only step fails once, so that there is something to log. */
const training = definePipeline('train', { version: '1.0.0' }, (p) =>
  p.step(
    'fit',
    {},
    async ({ run, attempt, logger: own }) => {
      own.info({ attempt }, 'fitting');
      if (attempt === 1) throw Object.assign(new Error('reset'), { code: 'ECONNRESET' });
      if (run === undefined) throw new Error('There is no run.');
      run.logMetric('accuracy', 0.9);
      await run.logArtifact('model/model.mjs', Buffer.from(weatherModule));
      return run.id;
    },
    { retries: { limit: 1, delayMs: 1 } },
  ),
);

async function trainRegisterDeploy(): Promise<void> {
  const started = await platform.pipelines.start(training);
  const { status, output: runId } = await platform.pipelines.wait(started);
  expect(status).toBe('COMPLETED');
  const version = await platform.registry.register({
    model: 'weather',
    from: { runId: String(runId), path: 'model' },
    format: 'JS',
    signature: weatherSignature,
  });
  await platform.registry.requestTransition({
    model: 'weather',
    version: version.version,
    to: 'STAGING',
    reason: 'a test',
  });
  await platform.deployments.create({
    name: 'weather',
    versionId: version.id,
    environment: 'STAGING',
  });
}

async function predict(): Promise<Response> {
  const server = await serve(platform, { deployments: ['weather'], replicas: 1 });
  try {
    return await fetch(`${server.url}/v2/models/weather/infer`, {
      method: 'POST',
      headers: { ...headersOfCorrelation({ correlationId }), 'content-type': 'application/json' },
      body: weatherBody([[3, 1]]),
    });
  } finally {
    await server.close();
  }
}

/** Each kind of kept history with the correlations that its entries carry. */
function historyCorrelations(): Record<string, (string | null)[]> {
  const database = new DatabaseSync(join(dir, 'keelson.db'), { readOnly: true });
  const rows = database
    .prepare('SELECT DISTINCT kind, correlation FROM history ORDER BY kind')
    .all();
  database.close();
  const found: Record<string, (string | null)[]> = {};
  for (const row of rows) {
    const { kind, correlation } = row as { kind: string; correlation: string | null };
    found[kind] = [...(found[kind] ?? []), correlation];
  }
  return found;
}

test('from training to a prediction, every event, entry of a history and log line has one correlation', async () => {
  await withCorrelation({ correlationId }, trainRegisterDeploy);
  const response = await predict();
  expect(response.status).toBe(200);
  expect(response.headers.get('x-correlation-id')).toBe(correlationId);

  const types = new Set<string>();
  for await (const event of platform.events.each()) {
    types.add(event.type);
    // What a process says of how it serves is nobody's doing.
    if (event.type === 'deployment.healthy') continue;
    expect([event.type, event.correlationId]).toEqual([event.type, correlationId]);
  }
  for (const type of [
    'run.completed',
    'step.retried',
    'pipeline.completed',
    'model.registered',
    'model.promoted',
    'deployment.started',
  ]) {
    expect(types).toContain(type);
  }

  const histories = historyCorrelations();
  expect(Object.keys(histories)).toEqual(
    expect.arrayContaining(['run', 'model', 'model_version', 'deployment', 'route']),
  );
  for (const [kind, correlations] of Object.entries(histories)) {
    // So is the status that follows from it.
    const caused = kind === 'deployment' ? correlations.filter((id) => id !== null) : correlations;
    expect([kind, caused]).toEqual([kind, [correlationId]]);
  }

  expect(lines.map(({ message }) => message)).toContain('fitting');
  expect(lines.some(({ message }) => message.includes('It failed'))).toBe(true);
  for (const { fields, message } of lines) {
    expect([message, fields]).toEqual([message, expect.objectContaining({ correlationId })]);
  }

  const tree = await platform.events.historyTree(correlationId);
  expect(tree).toMatchObject({ truncated: false, events: expect.any(Number) });
  const [completed] = await Array.fromAsync(
    platform.events.each({ types: ['pipeline.completed'] }),
  );
  expect(completed?.payload.metrics).toEqual({ fit: { accuracy: 0.9 } });
  expect(historyText(tree)).toContain('pipeline.completed execution:');
});
