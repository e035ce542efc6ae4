import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { shareMlflowServer } from './mlflow-server.ts';

const server = shareMlflowServer();
const { call, ok } = server;

async function experiment(name: string): Promise<string> {
  return (await ok('POST', 'experiments/create', { name })).experiment_id;
}

async function run(fields: object = {}): Promise<string> {
  return (await ok('POST', 'runs/create', fields)).run.info.run_id;
}

/** A request whose path nobody normalises on the way. */
async function rawCall(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly body: { readonly error_code?: string } }> {
  const { hostname, port } = new URL(server.url);
  const sent = request({ hostname, port, method, path, headers });
  // What announces a body that never comes must be answered all the same.
  if (headers['content-length'] === undefined) sent.end();
  else sent.flushHeaders();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  const body = JSON.parse(await textOf(answer));
  sent.destroy();
  return { status: answer.statusCode ?? 0, body };
}

test('a run is answered as clients know it: numbers as numbers, both ids, nothing that is unset', async () => {
  const { run: made } = await ok('POST', 'runs/create', {
    start_time: '1700000000000',
    run_name: 'r',
    tags: [{ key: 'k', value: 'v' }],
    unknown: { ignored: true },
  });
  const { run_id: id } = made.info;
  expect(made).toEqual({
    info: {
      run_id: id,
      run_uuid: id,
      run_name: 'r',
      experiment_id: '0',
      user_id: expect.any(String),
      status: 'RUNNING',
      start_time: 1_700_000_000_000,
      artifact_uri: `mlflow-artifacts:/0/${id}/artifacts`,
      lifecycle_stage: 'active',
    },
    data: {
      tags: [
        { key: 'k', value: 'v' },
        { key: 'mlflow.runName', value: 'r' },
      ],
    },
    inputs: {},
    outputs: {},
  });
  await ok('POST', 'runs/log-metric', {
    run_uuid: id,
    key: 'm',
    value: 'NaN',
    timestamp: 5,
    step: '7',
  });
  const { run_info: info } = await ok('POST', 'runs/update', {
    run_id: id,
    status: 'FINISHED',
    end_time: 1_700_000_005_000,
  });
  expect(info).toMatchObject({ status: 'FINISHED', end_time: 1_700_000_005_000 });
  const { run: found } = await ok('GET', 'runs/get', { run_id: id });
  expect(found.data.metrics).toEqual([{ key: 'm', value: 'NaN', timestamp: 5, step: 7 }]);
});

test('both faces of the API, double-encoded bodies, and bodies without a content type are taken', async () => {
  const { experiment_id: id } = await ok('POST', '/ajax-api/2.0/mlflow/experiments/create', {
    name: 'ajax',
  });
  const answer = await fetch(`${server.url}/api/2.0/mlflow/experiments/set-experiment-tag`, {
    method: 'POST',
    body: JSON.stringify(JSON.stringify({ experiment_id: id, key: 'a', value: 'b' })),
  });
  expect([answer.status, await answer.json()]).toEqual([200, {}]);
  const { experiment: found } = await ok('GET', 'experiments/get', { experiment_id: id });
  expect(found).toEqual({
    experiment_id: id,
    name: 'ajax',
    artifact_location: `mlflow-artifacts:/${id}`,
    lifecycle_stage: 'active',
    last_update_time: expect.any(Number),
    creation_time: expect.any(Number),
    tags: [{ key: 'a', value: 'b' }],
  });
});

test.each<[string, string, object, string]>([
  ['POST', 'experiments/create', {}, "Missing value for required parameter 'name'."],
  ['POST', 'experiments/create', { name: 5 }, "Invalid value 5 for parameter 'name' supplied"],
  [
    'POST',
    'experiments/create',
    { name: 'x', artifact_location: 's3://b' },
    'leave artifact_location out',
  ],
  ['GET', 'runs/get', {}, "Missing value for required parameter 'run_id'."],
  [
    'POST',
    'runs/log-metric',
    { run_id: 'r', key: 'k', value: 1 },
    "Missing value for required parameter 'timestamp'",
  ],
  [
    'POST',
    'runs/log-metric',
    { run_id: 'r', key: 'k', value: 1, timestamp: 1, step: 'foo' },
    'Invalid value "foo" for parameter \'step\' supplied',
  ],
  [
    'POST',
    'runs/log-metric',
    { run_id: 'r', key: 'k', value: 1, timestamp: 1, step: 1.5 },
    "Invalid value 1.5 for parameter 'step' supplied",
  ],
  [
    'POST',
    'runs/log-metric',
    { run_id: 'r', key: 'k', value: true, timestamp: 1 },
    "Invalid value true for parameter 'value' supplied",
  ],
  [
    'POST',
    'runs/log-batch',
    { run_id: 'r', metrics: [{ key: 'k', value: 1 }] },
    "Missing value for required parameter 'metrics[0].timestamp'",
  ],
  [
    'POST',
    'runs/log-batch',
    { run_id: 'r', metrics: 'all' },
    'Invalid value "all" for parameter \'metrics\' supplied',
  ],
  [
    'POST',
    'runs/log-batch',
    { run_id: 'r', params: Array.from({ length: 101 }, (_, i) => ({ key: `p${i}`, value: '' })) },
    'can contain at most 100 params. Got 101 params.',
  ],
  [
    'POST',
    'runs/log-batch',
    {
      run_id: 'r',
      params: [
        { key: 'p', value: '1' },
        { key: 'p', value: '2' },
      ],
    },
    'Duplicate parameter keys',
  ],
  [
    'POST',
    'runs/log-parameter',
    { run_id: 'r', key: '../up', value: '' },
    "for parameter 'key' supplied",
  ],
  ['POST', 'runs/log-parameter', { run_id: 'r', key: 'a$b', value: '' }, 'Names may only contain'],
  [
    'POST',
    'runs/log-parameter',
    { run_id: 'r', key: 'k'.repeat(251), value: '' },
    'exceeds the maximum length of 250',
  ],
  ['POST', 'runs/search', { max_results: 50_001 }, 'max_results'],
  ['POST', 'runs/search', { max_results: 0 }, 'max_results'],
  ['POST', 'runs/search', { run_view_type: 'SOME' }, "for parameter 'run_view_type' supplied"],
  ['POST', 'runs/update', { run_id: 'r', status: 'DONE' }, "for parameter 'status' supplied"],
  ['POST', 'experiments/search', { filter: 'name ~ 1' }, 'Invalid clause(s) in filter string'],
  ['POST', 'experiments/delete', { experiment_id: '0' }, 'cannot be deleted'],
  ['GET', 'artifacts/list', { run_id: 'r', path: '../x' }, 'Invalid path'],
])('%s %s %j is refused: %s', async (method, path, fields, message) => {
  const { status, body } = await call(method, path, fields);
  expect([status, body.error_code]).toEqual([400, 'INVALID_PARAMETER_VALUE']);
  expect(body.message).toContain(message);
});

test.each<[string, string, object | undefined, number, string]>([
  ['GET', '/api/2.0/mlflow/nothing', undefined, 404, 'ENDPOINT_NOT_FOUND'],
  ['POST', '/api/3.0/mlflow/traces', {}, 404, 'ENDPOINT_NOT_FOUND'],
  ['GET', '/v1/traces', undefined, 404, 'ENDPOINT_NOT_FOUND'],
  ['PUT', 'runs/get', {}, 404, 'ENDPOINT_NOT_FOUND'],
  ['GET', 'runs/get', { run_id: 'none' }, 404, 'RESOURCE_DOES_NOT_EXIST'],
  ['POST', 'runs/log-batch', { run_id: 'none' }, 404, 'RESOURCE_DOES_NOT_EXIST'],
  ['GET', 'experiments/get', { experiment_id: 'none' }, 404, 'RESOURCE_DOES_NOT_EXIST'],
  ['GET', 'logged-models/m-none', undefined, 404, 'RESOURCE_DOES_NOT_EXIST'],
  ['POST', '/api/2.0/mlflow-artifacts/mpu/create/0/r/artifacts/x', {}, 501, 'NOT_IMPLEMENTED'],
  ['GET', '/api/2.0/mlflow-artifacts/presigned/0/r/artifacts/x', undefined, 501, 'NOT_IMPLEMENTED'],
])('%s %s %j is answered with %i %s and %s', async (method, path, fields, status, code) => {
  const answered = await call(method, path, fields);
  expect([answered.status, answered.body.error_code]).toEqual([status, code]);
});

test('the version is none from which clients would send traces', async () => {
  const { status, body } = await call('GET', '/version');
  expect([status, body]).toEqual([200, '3.3.2']);
  expect((await call('GET', '/health')).body).toBe('OK');
  expect((await call('GET', '/api/3.0/mlflow/server-info')).body).toMatchObject({
    workspaces_enabled: false,
  });
});

test('experiments: a name is taken once, the deleted are kept, and one is there from the start', async () => {
  const id = await experiment('taken');
  const again = await call('POST', 'experiments/create', { name: 'taken' });
  expect([again.status, again.body.error_code]).toEqual([400, 'RESOURCE_ALREADY_EXISTS']);
  await ok('POST', 'experiments/delete', { experiment_id: id });
  const closed = await call('POST', 'runs/create', { experiment_id: id });
  expect(closed.body.message).toContain("must be in the 'active' state");
  await ok('POST', 'experiments/restore', { experiment_id: id });
  const { experiments, next_page_token: token } = await ok('GET', 'experiments/search', {
    max_results: 1,
    view_type: 'ALL',
    order_by: ['name ASC', 'creation_time DESC'],
  });
  expect(experiments[0].experiment_id).toBe('0');
  expect(token).toEqual(expect.any(String));
});

test('params are set once; what is said of a run twice is the same', async () => {
  const id = await run();
  await ok('POST', 'runs/log-parameter', { run_id: id, key: 'p', value: '1' });
  await ok('POST', 'runs/log-parameter', { run_id: id, key: 'p', value: '1' });
  await ok('POST', 'runs/log-parameter', { run_id: id, key: 'empty' });
  const other = await call('POST', 'runs/log-batch', {
    run_id: id,
    params: [
      { key: 'q', value: '1' },
      { key: 'p', value: '2' },
    ],
    metrics: [{ key: 'm', value: 1, timestamp: 1 }],
  });
  expect(other.body.message).toMatch(/Changing param values is not allowed.*'p'.*'1'.*'2'/);
  const { run: found } = await ok('GET', 'runs/get', { run_id: id });
  // Nothing of a batch that is refused.
  expect(found.data.params).toEqual([
    { key: 'p', value: '1' },
    { key: 'empty', value: '' },
  ]);
  expect(found.data.metrics).toBeUndefined();
});

test('the history of a metric comes in pages, points that were sent again once', async () => {
  const id = await run();
  const metrics = [0, 1, 2, 3, 4].map((step) => ({
    key: 'm',
    value: step / 3,
    timestamp: 9,
    step,
  }));
  await ok('POST', 'runs/log-batch', { run_id: id, metrics });
  await ok('POST', 'runs/log-batch', { run_id: id, metrics });
  const first = await ok('GET', 'metrics/get-history', {
    run_id: id,
    metric_key: 'm',
    max_results: 3,
  });
  const page_token = first.next_page_token;
  const rest = await ok('GET', 'metrics/get-history', {
    run_id: id,
    metric_key: 'm',
    max_results: 3,
    page_token,
  });
  expect([...first.metrics, ...rest.metrics]).toEqual(metrics);
  expect(rest.next_page_token).toBeUndefined();
  const bulk = await ok('GET', '/ajax-api/2.0/mlflow/metrics/get-history-bulk', {
    run_id: [id],
    metric_key: 'm',
    max_results: 2,
  });
  expect(bulk.metrics).toEqual(metrics.slice(0, 2).map((point) => ({ ...point, run_id: id })));
  const sampled = await ok('GET', 'metrics/get-history-bulk-interval', {
    ...{ run_ids: [id, await run()], metric_key: 'm', start_step: 1, end_step: 4, max_results: 2 },
  });
  expect(sampled.metrics.map((point: { step: number }) => point.step)).toEqual([1, 4]);
});

test('artifacts are streamed in and out, with ranges, and never shown', async () => {
  const id = await run();
  const proxy = `${server.url}/api/2.0/mlflow-artifacts/artifacts`;
  const at = `${proxy}/0/${id}/artifacts/a/page.html`;
  const put = await fetch(at, { method: 'PUT', body: '<script>1</script>' });
  expect([put.status, await put.json()]).toEqual([200, {}]);
  const got = await fetch(at);
  expect(await got.text()).toBe('<script>1</script>');
  expect(Object.fromEntries(got.headers)).toMatchObject({
    'x-content-type-options': 'nosniff',
    'content-disposition': 'attachment; filename="page.html"; filename*=UTF-8\'\'page.html',
    'content-length': '18',
  });
  const part = await fetch(at, { headers: { range: 'bytes=1-6' } });
  expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([
    206,
    'bytes 1-6/18',
    'script',
  ]);
  expect((await fetch(at, { headers: { range: 'bytes=18-' } })).status).toBe(416);
  const etag = got.headers.get('etag') ?? '';
  expect((await fetch(at, { headers: { 'if-none-match': etag } })).status).toBe(304);
  const listed = await fetch(`${proxy}?path=0/${id}/artifacts`);
  expect(await listed.json()).toEqual({ files: [{ path: 'a', is_dir: true }] });
  expect(await ok('GET', 'artifacts/list', { run_id: id, path: 'a' })).toEqual({
    root_uri: `mlflow-artifacts:/0/${id}/artifacts`,
    files: [{ path: 'a/page.html', is_dir: false, file_size: 18 }],
  });
  const page = await fetch(`${server.url}/get-artifact?run_uuid=${id}&path=a/page.html`);
  expect(await page.text()).toBe('<script>1</script>');
  expect((await fetch(`${proxy}/0/${id}/artifacts/a`, { method: 'DELETE' })).status).toBe(200);
  expect((await fetch(at)).status).toBe(404);
});

test.each([
  '..%2f..%2fsecret',
  '%2e%2e/secret',
  'a/%252e%252e/secret',
  'a%5c..%5csecret',
  'a%2fb',
  'a//b',
  '%00',
  '%',
  '',
])('the artifact path %j is refused, whatever is done there', async (path) => {
  const id = await run();
  for (const method of ['PUT', 'GET', 'DELETE']) {
    if (path === '' && method === 'DELETE') continue;
    const { status, body } = await rawCall(
      method,
      `/api/2.0/mlflow-artifacts/artifacts/0/${id}/artifacts/${path}`,
    );
    expect([method, status, body.error_code]).toEqual([method, 400, 'INVALID_PARAMETER_VALUE']);
  }
});

test('artifacts of a run are not to be had by way of another experiment', async () => {
  const [other, id] = [await experiment('elsewhere'), await run()];
  const { status } = await rawCall(
    'PUT',
    `/api/2.0/mlflow-artifacts/artifacts/${other}/${id}/artifacts/x`,
  );
  expect(status).toBe(404);
});

test.each<[string, string | Uint8Array<ArrayBuffer>]>([
  ['no JSON', '{"name": '],
  ['no object', '[1, 2]'],
  ['no object either', 'null'],
  ['no text', new Uint8Array([0xff, 0xfe, 0x00])],
  ['a number', '1e999'],
])('a body that is %s is refused', async (_what, body) => {
  const answer = await fetch(`${server.url}/api/2.0/mlflow/experiments/create`, {
    method: 'POST',
    body,
  });
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ error_code: 'BAD_REQUEST' });
});

test('a body that is too large is refused before it is read, and names no attack', async () => {
  const { status, body } = await rawCall('POST', '/api/2.0/mlflow/experiments/create', {
    'content-length': String(2 ** 31),
  });
  expect([status, body.error_code]).toEqual([413, 'BAD_REQUEST']);
  const polluted = await call(
    'POST',
    'experiments/create',
    JSON.parse('{"name":"p","__proto__":{"x":1}}'),
  );
  expect(polluted.status).toBe(200);
  const odd = await call('POST', 'experiments/create', { name: 'nul \u0000' });
  expect(odd.status).toBe(400);
  const lone = await call('POST', 'runs/set-tag', {
    run_id: await run(),
    key: 'k',
    value: '\ud800',
  });
  expect(lone.status).toBe(400);
});

test('a path of a logged model that is not encoded rightly is refused', async () => {
  const { status, body } = await rawCall('GET', '/api/2.0/mlflow/logged-models/%ff');
  expect([status, body.error_code]).toEqual([400, 'INVALID_PARAMETER_VALUE']);
});

test('what takes long to read, or cannot be shown, is answered at once', async () => {
  const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
  const post = (path: string, body: string) =>
    fetch(`${server.url}/api/2.0/mlflow/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
  expect((await post('experiments/create', `{"name":${deep}}`)).status).toBe(400);
  const spaces = ' '.repeat(1_000_000);
  const order = { experiment_ids: ['0'], order_by: [`a${spaces}b`] };
  expect((await post('runs/search', JSON.stringify(order))).status).toBe(400);
  await ok('POST', 'registered-models/create', { name: 'slashes' });
  const source = `mlflow-artifacts:/a${'/'.repeat(1_000_000)}x`;
  const made = await post('model-versions/create', JSON.stringify({ name: 'slashes', source }));
  expect(made.status).toBe(400);
});

test('where a version comes from cannot be changed by its tags', async () => {
  const id = await run();
  const at = `${server.url}/api/2.0/mlflow-artifacts/artifacts/0/${id}/artifacts/m/x`;
  await fetch(at, { method: 'PUT', body: 'one' });
  await ok('POST', 'registered-models/create', { name: 'fixed' });
  await ok('POST', 'model-versions/create', { name: 'fixed', source: `runs:/${id}/m` });
  const tag = { key: 'keelson.mlflow.source', value: 'models:/fixed/1' };
  const set = await call('POST', 'model-versions/set-tag', { name: 'fixed', version: '1', ...tag });
  expect(set.status).toBe(400);
  const copy = await ok('POST', 'model-versions/create', {
    name: 'fixed',
    source: 'models:/fixed/1',
  });
  expect(copy.model_version.version).toBe('2');
});

test('files of a registered version come from the registry, and are not written there', async () => {
  const id = await run();
  const proxy = `${server.url}/api/2.0/mlflow-artifacts/artifacts`;
  const at = `${proxy}/0/${id}/artifacts/model/a/weights.txt`;
  await fetch(at, { method: 'PUT', body: 'one' });
  await ok('POST', 'registered-models/create', { name: 'kept' });
  const source = `runs:/${id}/model`;
  const { model_version: made } = await ok('POST', 'model-versions/create', {
    name: 'kept',
    source,
  });
  expect(made).toMatchObject({
    ...{ name: 'kept', version: '1', current_stage: 'None', status: 'READY', source, run_id: id },
  });
  expect(made.tags).toBeUndefined();
  // What is logged under the path later is no matter of the version.
  await fetch(at, { method: 'PUT', body: 'two' });
  const { artifact_uri: uri } = await ok('GET', 'model-versions/get-download-uri', {
    ...{ name: 'kept', version: 1 },
  });
  const place = uri.replace('mlflow-artifacts:/', '');
  expect(await (await fetch(`${proxy}?path=${place}`)).json()).toEqual({
    files: [{ path: 'a', is_dir: true }],
  });
  expect(await (await fetch(`${proxy}/${place}/a/weights.txt`)).text()).toBe('one');
  const page = `${server.url}/model-versions/get-artifact?name=kept&version=1&path=a/weights.txt`;
  expect(await (await fetch(page)).text()).toBe('one');
  for (const method of ['PUT', 'DELETE']) {
    const answer = await fetch(`${proxy}/${place}/a/weights.txt`, { method });
    expect(answer.status).toBe(403);
  }
  expect((await fetch(`${proxy}/${place}/a/none`)).status).toBe(404);
  expect((await fetch(`${proxy}/registry/none/a`)).status).toBe(404);
  const searched = await ok('GET', 'registered-models/search', {
    filter: "name = 'kept' AND tags.`mlflow.prompt.is_prompt` != 'true'",
  });
  expect(searched.registered_models).toHaveLength(1);
  for (const bad of ['one', '-1', '1.0', '9'.repeat(30)]) {
    const { status } = await call('GET', 'model-versions/get', { name: 'kept', version: bad });
    expect([bad, status]).toEqual([bad, 400]);
  }
});

test('a batch that names a logged model that is not there logs nothing', async () => {
  const id = await run();
  const metrics = [{ key: 'm', value: 1, timestamp: 1, model_id: 'm-none' }];
  const params = [{ key: 'p', value: 'v' }];
  const { status } = await call('POST', 'runs/log-batch', { run_id: id, metrics, params });
  expect(status).toBe(404);
  const { run: found } = await ok('GET', 'runs/get', { run_id: id });
  expect([found.data.metrics, found.data.params]).toEqual([undefined, undefined]);
});
