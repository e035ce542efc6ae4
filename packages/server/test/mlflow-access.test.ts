import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform } from '@keelson/core';
import { expect, onTestFinished, test } from 'vitest';
import { createRateLimits } from '../src/access/rate-limit.ts';
import type { ServerRequest } from '../src/http/exchange.ts';
import { startServer } from '../src/index.ts';

const anywhere = { scopes: ['*'] };

test("MLflow's clients prove who they are by token or password, and may what their principal may", async () => {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-test-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  const principal = { id: 'user:lead', roles: [] };
  const platform = await openPlatform({ dir: join(dir, '.keelson'), access: true, principal });
  onTestFinished(() => platform.close());
  const server = await startServer(platform, { port: 0 });
  onTestFinished(() => server.close());
  const { access } = platform.operations;
  await access.grant({ principal: 'service:trainer', role: 'editor' });
  await access.grant({ principal: 'user:reader', role: 'viewer' });
  const keyOf = async (who: string): Promise<string> =>
    (await access.createApiKey({ principal: who, name: 'mlflow', ...anywhere })).secret;
  const [trainer, reader] = [await keyOf('service:trainer'), await keyOf('user:reader')];
  const ask = async (
    authorization: string | undefined,
    path: string,
    fields?: object,
    method = fields === undefined ? 'GET' : 'POST',
  ) => {
    const answer = await fetch(`${server.url}${path}`, {
      method,
      headers: authorization === undefined ? {} : { authorization },
      ...(fields === undefined ? {} : { body: JSON.stringify(fields) }),
    });
    const text = await answer.text();
    return { status: answer.status, text, headers: answer.headers };
  };
  const api = '/api/2.0/mlflow';

  const nobody = await ask(undefined, `${api}/runs/create`, {});
  expect(nobody.status).toBe(401);
  expect(nobody.headers.get('www-authenticate')).toContain('Basic');
  expect(JSON.parse(nobody.text)).toMatchObject({ error_code: 'UNAUTHENTICATED' });
  expect((await ask('Bearer wrong', `${api}/runs/create`, {})).status).toBe(401);
  // What says nothing of anybody is answered to anybody.
  expect((await ask(undefined, '/version')).status).toBe(200);

  // Nobody has asked for the experiment 0 yet, and a reader makes none.
  expect((await ask(`Bearer ${reader}`, `${api}/experiments/search?max_results=5`)).text).toBe(
    '{}',
  );
  const basic = `Basic ${Buffer.from(`any:${trainer}`).toString('base64')}`;
  const made = await ask(basic, `${api}/runs/create`, { run_name: 'r' });
  expect(made.status).toBe(200);
  const { run_id: runId } = JSON.parse(made.text).run.info;
  // A page of another site had the browser ask, which adds the password by itself.
  for (const said of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' }]) {
    const headers = { authorization: basic, ...said };
    const foreign = await fetch(`${server.url}${api}/runs/create`, {
      ...{ method: 'POST', headers, body: '{}' },
    });
    expect(foreign.status).toBe(401);
  }
  expect((await platform.tracking.getRun(runId)).userId).toBe('service:trainer');
  const file = `/api/2.0/mlflow-artifacts/artifacts/0/${runId}/artifacts/a.txt`;
  expect((await ask(`Bearer ${trainer}`, file, { a: 1 }, 'PUT')).status).toBe(200);

  expect((await ask(`Bearer ${reader}`, `${api}/runs/get?run_id=${runId}`)).status).toBe(200);
  expect((await ask(`Bearer ${reader}`, file)).text).toBe('{"a":1}');
  const point = { run_id: runId, key: 'm', value: 1, timestamp: 1 };
  const refused: [string, object, string?][] = [
    [`${api}/runs/create`, {}],
    [`${api}/runs/log-metric`, point],
    [`${api}/runs/log-parameter`, { run_id: runId, key: 'p', value: 'v' }],
    [`${api}/runs/set-tag`, { run_id: runId, key: 't', value: 'v' }],
    [`${api}/runs/delete`, { run_id: runId }],
    [`${api}/runs/update`, { run_id: runId, status: 'FAILED' }],
    [`${api}/logged-models`, { experiment_id: '0', name: 'm', source_run_id: runId }],
    [`${api}/registered-models/create`, { name: 'm' }],
    [file, {}, 'PUT'],
    [file, {}, 'DELETE'],
  ];
  for (const [path, fields, method] of refused) {
    const { status, text } = await ask(`Bearer ${reader}`, path, fields, method);
    expect([path, status, JSON.parse(text).error_code]).toEqual([path, 403, 'PERMISSION_DENIED']);
  }
  const run = await platform.tracking.getRun(runId);
  expect(run).toMatchObject({ status: 'RUNNING', lifecycle: 'active', params: {}, metrics: {} });
});

test("an issuer's tokens are proved over HTTP by the keys that it publishes, as bearer and as password", async () => {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-test-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const [own, other] = [pair(), pair()];
  const published = { ...own.publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256' };
  const keys = createServer((_, answer) => answer.end(JSON.stringify({ keys: [published] })));
  keys.listen(0, '127.0.0.1');
  await once(keys, 'listening');
  onTestFinished(() => {
    keys.closeAllConnections();
    keys.close();
  });
  const [issuer, audience] = ['https://issuer.example', 'keelson'];
  const jwks = `http://127.0.0.1:${(keys.address() as AddressInfo).port}/keys`;
  const platform = await openPlatform({
    dir: join(dir, '.keelson'),
    access: {
      tokens: { issuer, audience, jwks, roles: ({ groups }) => groups as readonly string[] },
    },
  });
  onTestFinished(() => platform.close());
  const server = await startServer(platform, { port: 0 });
  onTestFinished(() => server.close());
  const token = (claims: object = {}, { privateKey } = own): string => {
    const now = Math.floor(Date.now() / 1000);
    const standard = { iss: issuer, aud: audience, sub: 'ana', groups: ['editor'], exp: now + 60 };
    const text = [
      { alg: 'ES256', kid: 'k' },
      { ...standard, ...claims },
    ].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
    const signed = text.join('.');
    const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const;
    return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
  };
  const ask = (authorization: string) =>
    fetch(`${server.url}/api/2.0/mlflow/runs/create`, {
      ...{ method: 'POST', headers: { authorization }, body: '{}' },
    });
  const made = await ask(`Bearer ${token()}`);
  expect(made.status).toBe(200);
  const { run } = (await made.json()) as { readonly run: { readonly info: { run_id: string } } };
  expect((await platform.tracking.getRun(run.info.run_id)).userId).toBe('user:ana');
  const basic = Buffer.from(`token:${token()}`).toString('base64');
  expect((await ask(`Basic ${basic}`)).status).toBe(200);
  expect((await ask(`Bearer ${token({ groups: ['viewer'] })}`)).status).toBe(403);
  for (const bad of [
    token({ exp: Math.floor(Date.now() / 1000) - 60 }),
    token({ aud: 'another' }),
    token({ iss: 'https://evil.example' }),
    token({}, other),
    `${token().slice(0, -8)}AAAAAAAA`,
  ]) {
    const refused = await ask(`Bearer ${bad}`);
    const text = await refused.text();
    expect([refused.status, JSON.parse(text).error_code]).toEqual([401, 'UNAUTHENTICATED']);
    expect(text).not.toContain(bad.slice(0, 40));
  }
});

test('each principal has a limit of its own; what is more is refused in the form of each protocol', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-test-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  const principal = { id: 'user:lead', roles: [] };
  const platform = await openPlatform({ dir: join(dir, '.keelson'), access: true, principal });
  onTestFinished(() => platform.close());
  const server = await startServer(platform, {
    port: 0,
    rateLimit: {
      ...{ requestsPerSecond: 0.01, burst: 3 },
      of: ({ id }) => (id === 'service:free' ? null : { requestsPerSecond: 0.01, burst: 3 }),
    },
  });
  onTestFinished(() => server.close());
  const { access } = platform.operations;
  const askAs = async (who: string) => {
    await access.grant({ principal: who, role: 'viewer' });
    const { secret } = await access.createApiKey({ principal: who, name: 'k', ...anywhere });
    return (path: string) =>
      fetch(server.url + path, { headers: { authorization: `Bearer ${secret}` } });
  };
  const [ana, ben, free] = await Promise.all(['user:ana', 'user:ben', 'service:free'].map(askAs));
  if (ana === undefined || ben === undefined || free === undefined) throw new Error('Nobody asks.');
  const mlflow = '/api/2.0/mlflow/experiments/search?max_results=5';

  const first = await ana('/api/v1/experiments');
  expect([first.status, first.headers.get('ratelimit-policy')]).toEqual([
    200,
    '"default";q=3;w=300',
  ]);
  expect(first.headers.get('ratelimit')).toBe('"default";r=2;t=100');
  expect([(await ana(mlflow)).status, (await ana('/api/v1/experiments')).status]).toEqual([
    200, 200,
  ]);
  const refused = await ana('/api/v1/experiments');
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({ code: 'EXHAUSTED', status: 429 });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50);
  expect(refused.headers.get('ratelimit')).toMatch(/^"default";r=0;t=/);
  const told = await ana(mlflow);
  expect([told.status, told.headers.has('retry-after')]).toEqual([429, true]);
  expect(await told.json()).toEqual({
    error_code: 'REQUEST_LIMIT_EXCEEDED',
    message: expect.stringContaining('requests a second'),
  });

  // Others, and what watches, go on.
  expect((await ben(mlflow)).status).toBe(200);
  for (const path of ['/health', '/health/ready', '/api/v1/health', '/metrics', '/version'])
    expect([path, (await ana(path)).status]).not.toEqual([path, 429]);
  for (let i = 0; i < 5; i += 1) expect((await free('/api/v1/experiments')).status).toBe(200);
  // Guesses at keys are counted by where they come from.
  const guess = () =>
    fetch(`${server.url}/api/v1/experiments`, { headers: { authorization: 'Bearer wrong' } });
  const statuses = [];
  for (let i = 0; i < 4; i += 1) statuses.push((await guess()).status);
  expect(statuses).toEqual([401, 401, 401, 429]);
});

test('a limit fills again as time passes, up to its burst; a request counts once', () => {
  let now = 0;
  const limits = createRateLimits({ requestsPerSecond: 2, burst: 2 }, () => now);
  const take = (client = '192.0.2.1') => {
    const request = { url: '/api/v1/runs', client } as ServerRequest;
    limits.take(request, undefined);
    limits.take(request, undefined);
  };
  take();
  take();
  expect(take).toThrow(expect.objectContaining({ code: 'EXHAUSTED' }));
  expect(() => take('192.0.2.2')).not.toThrow();
  now = 499;
  expect(take).toThrow();
  now = 501;
  take();
  expect(take).toThrow();
  now = 60_000;
  take();
  take();
  expect(take).toThrow();
  for (const wrong of [{ requestsPerSecond: 0 }, { requestsPerSecond: 1, burst: 0 }])
    expect(() => createRateLimits(wrong)).toThrow(/rateLimit/);
});
