import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform, type Platform } from '@keelson/core';
import { createClient, type Handler } from '@keelson/server';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  type Mounted,
  mountInExpress,
  mountInFastify,
  mountInHono,
  mountNextRoute,
} from './mounts.ts';

const held = globalThis as { keelson?: Promise<Handler> | undefined };
const names = ['fastify', 'express', 'hono', 'next'] as const;
let dir = '';
let platform: Platform;

/** The route of Next opens a platform of its own, on the same directory. */
async function mountInNext(): Promise<Mounted> {
  process.env['KEELSON_DIR'] = join(dir, '.keelson');
  held.keelson = undefined;
  const { runtime, dynamic, ...routes } = await import('./next/app/mlops/[...path]/route.ts');
  expect([runtime, dynamic]).toEqual(['nodejs', 'force-dynamic']);
  await routes.GET(new Request('http://localhost/mlops/health'));
  return mountNextRoute(routes, (await held.keelson) as unknown as Handler);
}

const mounts: Readonly<Record<(typeof names)[number], (of: Platform) => Promise<Mounted>>> = {
  fastify: mountInFastify,
  express: mountInExpress,
  hono: mountInHono,
  next: mountInNext,
};

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keelson-test-'));
  platform = await openPlatform({ dir: join(dir, '.keelson') });
});
afterAll(async () => {
  await platform.close();
  await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
});

/** Asks as Ana, and gives what was answered. */
async function ask(
  url: string,
  { body, ...init }: RequestInit & { readonly body?: string | Uint8Array } = {},
) {
  const json: Record<string, string> =
    body === undefined ? {} : { 'content-type': 'application/json' };
  const headers = { 'x-user': 'ana', ...json, ...(init.headers as Record<string, string>) };
  const answer = await fetch(url, {
    ...init,
    headers,
    ...(body === undefined ? {} : { body: body as NonNullable<RequestInit['body']> }),
  });
  const text = await answer.text();
  const isJson = /json/.test(answer.headers.get('content-type') ?? '');
  return { status: answer.status, text, body: isJson ? JSON.parse(text) : undefined };
}

const post = (fields: object) => ({ method: 'POST', body: JSON.stringify(fields) });

/** An upload that the server has begun to read, and that waits to be ended. */
async function begunUpload(url: string): Promise<ClientRequest> {
  const headers = { 'x-user': 'ana', expect: '100-continue' };
  const sent = request(url, { method: 'PUT', agent: false, headers });
  sent.on('error', () => undefined);
  sent.flushHeaders();
  await once(sent, 'continue');
  sent.write('first ');
  return sent;
}

describe.each(names)('in %s', (name) => {
  let service: Mounted;
  let base = '';
  beforeAll(async () => {
    service = await mounts[name](platform);
    base = `${service.url}/mlops`;
  });
  afterAll(() => service?.close());

  test('the control plane is there below the prefix, and the service beside it as before', async () => {
    expect((await ask(`${service.url}/hello`, post({ a: 1 }))).body).toEqual({
      ...{ hello: name, body: { a: 1 } },
    });
    const made = await ask(`${base}/api/v1/experiments`, post({ name: `of ${name}` }));
    expect([made.status, made.body.name]).toEqual([201, `of ${name}`]);
    const listed = await ask(`${base}/api/v1/experiments?limit=100`);
    expect(JSON.stringify(listed.body)).toContain(`of ${name}`);
    const wrong = await ask(`${base}/api/v1/experiments`, post({ nam: 'x' }));
    expect([wrong.status, wrong.body.code]).toEqual([400, 'INVALID']);
    const removed = await ask(`${base}/api/v1/experiments/${made.body.id}`, { method: 'DELETE' });
    expect(removed.status).toBeLessThan(300);
    expect((await ask(`${base}/health/ready`)).body).toEqual({ ready: true });
    expect((await ask(`${base}/health`)).text).toBe('OK');
    expect((await ask(`${base}/api/v1/docs`)).text).toContain('<!doctype html>');
    const toPage = await fetch(`${base}/ui`, { redirect: 'manual' });
    expect([toPage.status, toPage.headers.get('location')]).toEqual([302, '/mlops/ui/']);
    expect((await ask(`${base}/nothing`)).body.error_code).toBe('ENDPOINT_NOT_FOUND');
    expect((await ask(`${base}/health`, { method: 'HEAD' })).status).toBe(200);
  });

  test('whoever the service knows is who asks, and others are refused', async () => {
    const stranger = await fetch(`${base}/api/v1/experiments`);
    expect(stranger.status).toBe(401);
    const run = await ask(`${base}/api/v1/runs`, post({ experiment: 'mounted' }));
    expect((await platform.tracking.getRun(run.body.id)).userId).toBe('user:ana');
  });

  test("MLflow's protocol: JSON, queries, and bytes of any type and length as they are", async () => {
    const api = `${base}/api/2.0/mlflow`;
    const { body } = await ask(`${api}/runs/create`, post({ run_name: 'r' }));
    const runId = body.run.info.run_id;
    const batch = { run_id: runId, metrics: [{ key: 'm', value: 'NaN', timestamp: 1, step: 3 }] };
    expect((await ask(`${api}/runs/log-batch`, post(batch))).status).toBe(200);
    const got = await ask(`${api}/runs/get?run_id=${runId}`);
    expect(got.body.run.data.metrics).toMatchObject([{ key: 'm', value: 'NaN' }]);
    // Longer than the service's parsers would take, and not as JSON.stringify writes it.
    const text = `{ "a":  ${JSON.stringify('x'.repeat(200_000))}}`;
    const file = `${base}/api/2.0/mlflow-artifacts/artifacts/0/${runId}/artifacts/a.json`;
    const put = await ask(file, { method: 'PUT', body: text });
    expect([put.status, put.text]).toEqual([200, '{}']);
    expect((await ask(file)).text).toBe(text);
    const deleted = await ask(`${api}/runs/delete-tag`, {
      ...post({ run_id: runId, key: 'none' }),
    });
    expect(deleted.body.error_code).toBe('RESOURCE_DOES_NOT_EXIST');
  });

  test('its end ends streams, answers what is under way, and breaks off what is not done in time', async () => {
    const own = await mounts[name](platform);
    const asAna: typeof fetch = (url, init) =>
      fetch(url, { ...init, headers: { ...(init?.headers as object), 'x-user': 'ana' } });
    const client = createClient({ url: `${own.url}/mlops`, fetch: asAna });
    const { id } = await client.runs.start({ body: { experiment: 'draining' } });
    const streamed = Array.fromAsync(await client.events.stream({ type: ['run.completed'] }));
    const files = `${own.url}/mlops/api/v1/runs/${id}/artifacts`;
    const [done, left] = [await begunUpload(`${files}/a`), await begunUpload(`${files}/b`)];
    const broken = new Promise((resolve) => left.once('close', resolve));
    const answered = once(done, 'response') as Promise<[IncomingMessage]>;
    const closed = own.handler.close({ timeoutMs: 1_000 });
    expect(await streamed).toEqual([]);
    done.end('last');
    const [answer] = await answered;
    answer.resume();
    expect(answer.statusCode).toBe(201);
    await Promise.all([closed, broken]);
    expect((await ask(`${own.url}/mlops/health/ready`)).body).toEqual({ ready: false });
    await own.close();
    const kept = await platform.tracking.listArtifacts(id);
    expect(kept.artifacts.map(({ path }) => path)).toEqual(['a']);
  });
});

test("behind Express's parser all but uploads works; those are refused with the remedy", async () => {
  const service = await mountInExpress(platform);
  onTestFinished(() => service.close());
  const base = `${service.url}/late`;
  const { body } = await ask(`${base}/api/2.0/mlflow/runs/create`, post({ run_name: 'größe' }));
  expect(body.run.info.run_name).toBe('größe');
  const files = [
    [`${base}/api/2.0/mlflow-artifacts/artifacts/0/${body.run.info.run_id}/artifacts/a.json`, 501],
    [`${base}/api/v1/runs/${body.run.info.run_id}/artifacts/a.json`, 422],
  ] as const;
  for (const [url, status] of files) {
    const refused = await ask(url, { method: 'PUT', body: '{ "a": 1 }' });
    expect([refused.status, refused.text]).toEqual([
      status,
      expect.stringContaining('mount Keelson before parsers'),
    ]);
    const plain = await ask(url, {
      ...{ method: 'PUT', body: '{ "a": 1 }', headers: { 'content-type': 'text/plain' } },
    });
    expect(plain.status).toBe(status === 501 ? 200 : 201);
  }
});
