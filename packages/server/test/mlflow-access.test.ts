import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform } from '@keelson/core';
import { expect, onTestFinished, test } from 'vitest';
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
