import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { shareExampleBed } from '../../test/share-example-bed.ts';
import { createClient } from '../client/client.ts';
import { createHandler } from '../handler.ts';
import { exampleRun } from './schemas.ts';

const bed = shareExampleBed();
const json = { 'content-type': 'application/json' };

async function post(
  path: string,
  body: unknown,
  headers: Record<string, string> = json,
): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return bed.ask(path, { method: 'POST', body: text, headers });
}

/** An answer's JSON, as whoever asks expects it. */
async function read<T>(answer: Response): Promise<T> {
  return (await answer.json()) as T;
}

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('what is malformed is refused with the path of the field', () => {
  test.each([
    ['an unknown field', { name: 'x', tagz: {} }, 'body.tagz', 'is not known here'],
    ['a field within', { name: 'x', tags: { team: 7 } }, 'body.tags.team', 'expected string'],
    ['a missing field', {}, 'body.name', 'is missing (string)'],
    ['another type', { name: 7 }, 'body.name', 'expected string'],
    [
      'an unknown field of a list',
      { name: 'x', thresholds: [{ metric: 'loss', over: 1 }] },
      'body.thresholds.0.over',
      'not known',
    ],
  ])('%s', async (_, body, path, message) => {
    const answer = await post('/api/v1/experiments', body);
    expect(answer.status).toBe(400);
    const problem = await read<{ errors: unknown; detail: string }>(answer);
    expect(problem).toMatchObject({ code: 'INVALID', title: expect.any(String), status: 400 });
    expect(problem.errors).toContainEqual({ path, message: expect.stringContaining(message) });
    expect(problem.detail).toContain(path);
  });

  test.each([
    ['no JSON', '{"name":', json, 400],
    ['no body', '', json, 400],
    ['a list', '[]', json, 400],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22]), json, 400],
    ['NUL in a name', '{"name":"a\\u0000"}', json, 400],
    ['half a character', '{"name":"\\ud800"}', json, 400],
    ['another media type', 'name=x', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
  ])('%s', async (_, body, headers, status) => {
    const answer = await bed.ask('/api/v1/experiments', {
      method: 'POST',
      body: body as string,
      headers,
    });
    expect(answer.status, await answer.text()).toBe(status);
  });

  test('queries and paths', async () => {
    const bad = async (path: string): Promise<unknown> => (await bed.ask(path)).json();
    expect(await bad('/api/v1/experiments?limit=many&colour=red')).toMatchObject({
      errors: expect.arrayContaining([
        { path: 'query.colour', message: expect.stringContaining('there are lifecycle, below') },
        { path: 'query.limit', message: expect.stringContaining('expected number') },
      ]),
    });
    expect(await bad('/api/v1/experiments?limit=1&limit=2')).toMatchObject({ status: 400 });
    expect(await bad('/api/v1/experiments?cursor=rubbish')).toMatchObject({
      status: 400,
      code: 'INVALID',
    });
    expect(await bad('/api/v1/runs/%ZZ')).toMatchObject({ status: 400 });
    expect(await bad('/api/v1/nothing')).toMatchObject({ status: 404, code: 'NOT_FOUND' });
    expect(await bad('/api/v1/runs/none')).toMatchObject({ status: 404, code: 'NOT_FOUND' });
    const answer = await bed.ask('/api/v1/experiments/weather', { method: 'PUT' });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD, PATCH, DELETE']);
  });
});

describe('runs', () => {
  test('a run from its start to its end, in the words of the design document', async () => {
    const made = await read<{ id: string }>(
      await post('/api/v1/runs', { experiment_id: 'weather', run_name: 'by hand' }),
    );
    expect(made).toMatchObject({ name: 'by hand', status: 'RUNNING', environment: {} });
    const run = `/api/v1/runs/${made.id}`;
    await post(`${run}/params`, { key: 'max_depth', value: '6', value_type: 'int' });
    await post(`${run}/params`, { params: { model: { type: 'cnn' } } });
    await post(`${run}/metrics`, { key: 'loss', value: { $number: 'NaN' }, step: 1 });
    await post(`${run}/metrics`, {
      key: 'loss',
      value: 0.25,
      step: 2,
      timestamp: 1_700_000_000_000,
    });
    const ended = await bed.ask(`${run}/status`, {
      method: 'PUT',
      body: '{"status":"FINISHED","final_metrics":{"accuracy":0.95}}',
      headers: json,
    });
    expect(await ended.json()).toMatchObject({
      status: 'COMPLETED',
      params: { max_depth: 6, 'model.type': 'cnn' },
      metrics: { loss: 0.25, accuracy: 0.95 },
    });
    const history = await (await bed.ask(`${run}/metrics/loss`)).json();
    expect(history).toMatchObject({ steps: [1, 2], values: [{ $number: 'NaN' }, 0.25] });
    expect((await post(`${run}/metrics`, { key: 'loss', value: 1 })).status).toBe(409);
    expect((await post(`${run}/params`, { key: 'a', value: 1 })).status).toBe(409);
    // The same end again is no fault, another one is.
    expect((await post('/api/v1/runs/complete', { run_id: made.id })).status).toBe(200);
    expect(
      (await post('/api/v1/runs/complete', { run_id: made.id, status: 'FAILED' })).status,
    ).toBe(409);
  });

  test('pages of a search go on by their cursor', async () => {
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const body = { experiment: 'weather', limit: 2, ...(cursor === undefined ? {} : { cursor }) };
      const page = await read<{ runs: readonly { id: string }[]; cursor?: string }>(
        await post('/api/v1/runs/search', body),
      );
      expect(page.runs.length).toBeLessThanOrEqual(2);
      seen.push(...page.runs.map(({ id }) => id));
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toContain(exampleRun);
    const syntax = await post('/api/v1/runs/search', { filter: 'metrics.loss >' });
    expect([syntax.status, (await read<{ code: string }>(syntax)).code]).toEqual([400, 'SYNTAX']);
  });
});

describe('revisions', () => {
  test('ETag, If-None-Match and If-Match', async () => {
    const path = '/api/v1/experiments/weather';
    const first = await bed.ask(path);
    const etag = first.headers.get('etag') ?? '';
    expect(etag).toMatch(/^W\/"\d+"$/);
    const again = await bed.ask(path, { headers: { 'if-none-match': etag } });
    expect([again.status, await again.text()]).toEqual([304, '']);
    const patch = (headers: Record<string, string>): Promise<Response> =>
      bed.ask(path, {
        method: 'PATCH',
        body: '{"description":"new"}',
        headers: { ...json, ...headers },
      });
    expect((await patch({ 'if-match': etag })).status).toBe(200);
    const stale = await patch({ 'if-match': etag });
    expect([stale.status, (await read<{ code: string }>(stale)).code]).toEqual([412, 'STALE']);
    expect((await patch({ 'if-match': 'rubbish' })).status).toBe(412);
    expect((await patch({})).status).toBe(200);
  });
});

describe('Idempotency-Key', () => {
  const start = (key: string, body: object): Promise<Response> =>
    post('/api/v1/runs', body, { ...json, 'idempotency-key': key });

  test('the same request again is answered as before, and done once, however many come at once', async () => {
    const body = { experiment: 'weather', name: 'once' };
    const together = await Promise.all([1, 2, 3, 4].map(() => start('key-1', body)));
    const done = together.filter(({ status }) => status === 201);
    // Those that came while the first was under way are told so.
    for (const { status } of together) expect([201, 409]).toContain(status);
    const [first] = await Promise.all(done.map((answer) => read<{ id: string }>(answer)));
    const again = await start('key-1', body);
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([201, 'true']);
    expect((await read<{ id: string }>(again)).id).toBe(first?.id);
    const { runs } = await bed.platform.tracking.searchRuns({ filter: "attributes.name = 'once'" });
    expect(runs).toHaveLength(1);
  });

  test('another request under the same key is refused, a refusal may be tried again, a day later it is new', async () => {
    const body = { name: 'by key' };
    const create = (key: string, of: object): Promise<Response> =>
      post('/api/v1/experiments', of, { ...json, 'idempotency-key': key });
    expect((await create('key-2', body)).status).toBe(201);
    expect((await create('key-2', { name: 'other' })).status).toBe(400);
    expect((await create('key-3', body)).status).toBe(409);
    expect((await create('key-3', { name: 'by another' })).status).toBe(201);
    expect((await create('', body)).status).toBe(400);
    bed.pass(25 * 3_600_000);
    expect((await create('key-2', body)).status).toBe(409);
  });
});

describe('files of runs', () => {
  const path = `/api/v1/runs/${exampleRun}/artifacts`;

  test('bytes, ranges, validators, HEAD', async () => {
    const bytes = Uint8Array.from({ length: 3_000_000 }, (_, i) => i % 251);
    const put = await bed.ask(`${path}/model/big%20file.bin?type=MODEL`, {
      method: 'PUT',
      body: bytes,
    });
    expect(await put.json()).toMatchObject({
      path: 'model/big file.bin',
      sizeBytes: 3_000_000,
      type: 'MODEL',
    });
    // A media type that no header can carry is answered as bytes.
    const odd = await bed.ask(`${path}/odd?mimeType=${encodeURIComponent('日本\r\nx: y')}`, {
      method: 'PUT',
      body: 'x',
    });
    const said = odd.ok ? await bed.ask(`${path}/odd`) : odd;
    expect([200, 400]).toContain(said.status);
    if (odd.ok) expect(said.headers.get('content-type')).toBe('application/octet-stream');
    await bed.ask(`${path}/odder?mimeType=0`, { method: 'PUT', body: 'x' });
    const odder = await bed.ask(`${path}/odder`);
    expect(odder.headers.get('content-type')).toBe('application/octet-stream');
    const file = `${path}/model/big%20file.bin`;
    const whole = await bed.ask(file);
    expect(Buffer.from(await whole.bytes()).equals(bytes)).toBe(true);
    const etag = whole.headers.get('etag') ?? '';
    const range = async (value: string, more: Record<string, string> = {}) => {
      const answer = await bed.ask(file, { headers: { range: value, ...more } });
      return {
        status: answer.status,
        range: answer.headers.get('content-range'),
        bytes: await answer.bytes(),
      };
    };
    const middle = await range('bytes=1000000-1000009', { 'if-range': etag });
    expect(middle).toMatchObject({ status: 206, range: 'bytes 1000000-1000009/3000000' });
    expect([...middle.bytes]).toEqual([...bytes.slice(1_000_000, 1_000_010)]);
    expect((await range('bytes=-5')).range).toBe('bytes 2999995-2999999/3000000');
    expect((await range('bytes=2999999-')).bytes).toHaveLength(1);
    expect((await range('bytes=0-1', { 'if-range': '"other"' })).bytes).toHaveLength(3_000_000);
    expect((await range('bytes=3000000-')).status).toBe(416);
    expect((await bed.ask(file, { headers: { 'if-none-match': etag } })).status).toBe(304);
    const head = await bed.ask(file, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), (await head.bytes()).length]).toEqual([
      200,
      '3000000',
      0,
    ]);
  });

  test('multipart, with its fields before the file; JSON; what is neither', async () => {
    const form = new FormData();
    form.append('path', 'model/fraud.pkl');
    form.append('metadata', '{"framework":"scikit-learn"}');
    const content = '\r\n--not the boundary\r\n'.repeat(20_000);
    form.append('file', new Blob([content], { type: 'application/x-pickle' }), 'local.pkl');
    const request = new Request('http://x', { method: 'POST', body: form });
    const headers = { 'content-type': request.headers.get('content-type') ?? '' };
    const sent = await request.bytes();
    const answer = await bed.ask(path, { method: 'POST', body: sent, headers });
    const logged = await answer.json();
    expect(logged).toMatchObject({
      path: 'model/fraud.pkl',
      metadata: { framework: 'scikit-learn' },
    });
    expect(await (await bed.ask(`${path}/model/fraud.pkl`)).text()).toBe(content);
    const cut = await bed.ask(path, { method: 'POST', body: sent.slice(0, -40), headers });
    expect(cut.status).toBe(400);
    const base64 = { path: 'a.bin', file_data: Buffer.from('abc').toString('base64') };
    expect(await (await post(path, base64)).json()).toMatchObject({ sizeBytes: 3 });
    expect((await post(path, { path: 'a.bin', data: '&&' })).status).toBe(400);
    expect((await post(path, 'bytes', { 'content-type': 'application/octet-stream' })).status).toBe(
      400,
    );
    expect((await post(path, { path: '../etc/passwd', data: '' })).status).toBe(400);
  });
});

test('a request is found by its correlation, and goes on in its trace', async () => {
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
  const headers = {
    ...json,
    traceparent: `00-${trace}-00f067aa0ba902b7-01`,
    'x-correlation-id': 'order-1',
  };
  const answer = await post('/api/v1/experiments', { name: 'traced' }, headers);
  expect(answer.headers.get('x-correlation-id')).toBe('order-1');
  expect(answer.headers.get('traceparent')).toMatch(
    new RegExp(`^00-${trace}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`),
  );
  const started = await post('/api/v1/runs', { experiment: 'traced' }, headers);
  const { id } = await read<{ id: string }>(started);
  const events = await Array.fromAsync(
    bed.platform.events.each({ types: ['run.started'], subjects: [`run:${id}`] }),
  );
  expect(events.map(({ correlationId }) => correlationId)).toEqual(['order-1']);
  const refused = await bed.ask('/api/v1/runs/none', { headers });
  expect(await refused.json()).toMatchObject({ correlationId: 'order-1' });
});

test('the page of documentation needs nothing from elsewhere and runs nothing', async () => {
  const answer = await bed.ask('/api/v1/docs', { token: '' });
  const policy = answer.headers.get('content-security-policy') ?? '';
  expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^']+';/);
  const page = await answer.text();
  expect(page).not.toMatch(/<script|\sstyle=|(?:src|href)="(?:https?:)?\/\//);
  expect(page).toContain('/api/v1/runs/{runId}/metrics');
  expect(page).toContain('&#34;');
});

describe('faces', () => {
  let token = '';
  beforeAll(() => {
    token = bed.token;
  });

  test.each([
    [
      'node, at the root',
      (path: string) => ({ handler: createHandler(bed.platform), path, prefix: '' }),
    ],
    [
      'node, below a prefix',
      (path: string) => ({
        handler: createHandler(bed.platform, { basePath: '/mlops' }),
        path,
        prefix: '/mlops',
      }),
    ],
  ])('%s', async (_, make) => {
    const { handler, prefix } = make('');
    const client = createClient({ url: `${await listen(handler.listener)}${prefix}`, token });
    const { id } = await client.runs.start({ body: { experiment: 'faces' } });
    await client.runs.logMetrics({
      runId: id,
      body: { key: 'loss', value: Number.NEGATIVE_INFINITY },
    });
    expect((await client.runs.get({ runId: id })).metrics).toEqual({
      loss: Number.NEGATIVE_INFINITY,
    });
    const { path } = await client.artifacts.put(
      { runId: id, path: 'a b/ü.txt' },
      { content: 'text' },
    );
    const file = await client.artifacts.download({ runId: id, path });
    expect(await file.text()).toBe('text');
  });

  test('Web, below a prefix; another place is found nowhere', async () => {
    const { fetch } = createHandler(bed.platform, { basePath: '/mlops' });
    const client = createClient({
      url: 'http://web.test/mlops',
      token,
      fetch: ((url, init) => fetch(new Request(url, init))) as typeof globalThis.fetch,
    });
    expect((await client.experiments.get({ experiment: 'weather' })).name).toBe('weather');
    expect((await fetch(new Request('http://web.test/other/api/v1/docs'))).status).toBe(404);
  });

  test('behind a mount that takes the prefix away, and a parser that has read the body', async () => {
    const { listener } = createHandler(bed.platform, { basePath: '/mlops' });
    const url = await listen(async (request, response) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of request) chunks.push(chunk as Uint8Array);
      const text = Buffer.concat(chunks).toString();
      const parsed = { originalUrl: request.url, body: text === '' ? undefined : JSON.parse(text) };
      Object.assign(request, parsed, { url: request.url?.slice('/mlops'.length) });
      listener(request, response);
    });
    const client = createClient({ url: `${url}/mlops`, token });
    const made = await client.experiments.create({ body: { name: 'parsed' } });
    expect(made.name).toBe('parsed');
  });
});

test('the client rejects with what the platform has refused with', async () => {
  const url = await listen(bed.handler.listener);
  const client = createClient({ url, token: () => bed.token });
  await expect(client.runs.get({ runId: 'none' })).rejects.toMatchObject({
    code: 'NOT_FOUND',
    details: { httpStatus: 404 },
  });
  await expect(client.experiments.create({ body: { name: 7 as never } })).rejects.toMatchObject({
    code: 'INVALID',
    details: { problems: [{ path: 'body.name' }] },
  });
  const read = await client.experiments.get({ experiment: 'weather' });
  await client.experiments.update(
    { experiment: 'weather', body: { description: 'a' } },
    { revision: read.revision },
  );
  await expect(
    client.experiments.update(
      { experiment: 'weather', body: { description: 'b' } },
      { revision: read.revision },
    ),
  ).rejects.toMatchObject({ code: 'STALE' });
  await expect(createClient({ url, token: 'rubbish' }).runs.search()).rejects.toMatchObject({
    code: 'FORBIDDEN',
  });
  await expect(createClient({ url: 'http://127.0.0.1:1' }).runs.search()).rejects.toMatchObject({
    code: 'UNAVAILABLE',
  });
});
