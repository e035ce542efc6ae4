import { connect } from 'node:net';
import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type InferenceServer, serve } from '../serve.ts';
import { ServingBed, until, weatherBody } from '../testing/serving-bed.ts';

let bed: ServingBed;
let server: InferenceServer;

beforeAll(async () => {
  bed = await ServingBed.open();
  await bed.addModel('1');
  await bed.addModel('2');
  bed.setRoute({ 1: 100, 2: 0 });
  server = await serve(bed.source, {
    deployments: ['weather'],
    maxBodyBytes: 100_000,
    maxRows: 500,
    timeoutMs: 1500,
    hungAfterMs: 100,
  });
});

afterAll(async () => {
  await server?.close();
  await bed?.[Symbol.asyncDispose]();
});

interface Sent {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: unknown;
}

async function send(path: string, init: RequestInit = {}): Promise<Sent> {
  const response = await fetch(server.url + path, init);
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: safeJson(text) };
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const inferPath = '/v2/models/weather/infer';

function infer(body: RequestInit['body'], headers: Record<string, string> = {}): Promise<Sent> {
  return send(inferPath, { method: 'POST', body: body ?? null, headers });
}

/** Bytes of one's own over a socket, and all that comes back. */
function sendRaw(text: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(server.port, '127.0.0.1', () => socket.write(text));
  let answer = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  socket.on('close', () => resolve(answer));
  socket.on('error', reject);
  return promise;
}

describe("Triton's repository", () => {
  const post = (path: string, body?: string): Promise<Sent> =>
    send(path, { method: 'POST', ...(body === undefined ? {} : { body }) });

  test('names what is there, from an empty body without a type as well', async () => {
    const entry = { name: 'weather', version: '1.0.1', state: 'READY', reason: '' };
    const { json } = await post('/v2/repository/index');
    expect(json).toEqual([entry, { ...entry, version: '1.0.2' }]);
    const ready = await post('/v2/repository/index', '{"ready":true}');
    expect(ready.json).toEqual([entry, { ...entry, version: '1.0.2' }]);
    expect(await post('/v2/repository/index', '{"ready":1}')).toMatchObject({
      status: 400,
      json: { error: 'ready: expected true or false, not 1.' },
    });
  });

  test('is not controlled by callers unless the server was opened so', async () => {
    for (const action of ['load', 'unload']) {
      const { status, json } = await post(`/v2/repository/models/weather/${action}`);
      expect([status, json]).toEqual([
        403,
        {
          error: `Callers may not ${action} models here; open the server with modelControl: 'explicit' to let them.`,
        },
      ]);
    }
    expect((await post('/v2/repository/models/weather/explode')).status).toBe(404);
    expect((await infer(weatherBody([[1, 1]]))).status).toBe(200);
  });

  test('an unloaded deployment finishes what it has, stays away, and comes back when loaded', async () => {
    const own = await serve(bed.source, {
      deployments: ['weather'],
      modelControl: 'explicit',
      pollMs: 5,
      replicas: 1,
    });
    try {
      const ask = (path: string, body?: string): Promise<Response> =>
        fetch(own.url + path, { method: 'POST', ...(body === undefined ? {} : { body }) });
      const slow = ask(inferPath, weatherBody([[1, 1]], { parameters: { wait: 300 } }));
      await until('the slow request', () =>
        own
          .status()
          .some(({ versions }) =>
            versions.some(({ replicas }) => replicas.some(({ outstanding }) => outstanding > 0)),
          ),
      );
      expect((await ask('/v2/repository/models/weather/unload')).status).toBe(200);
      expect((await slow).status).toBe(200);
      expect(own.status()[0]?.versions).toEqual([]);
      // Neither a wake-up nor a new route brings it back.
      bed.setRoute({ 1: 100, 2: 0 });
      await own.refresh();
      const away = await ask(inferPath, weatherBody([[1, 1]]));
      expect([away.status, await away.json()]).toEqual([
        503,
        { error: 'Deployment weather is unloaded here.' },
      ]);
      expect((await ask('/v2/repository/models/weather/load')).status).toBe(200);
      expect((await ask(inferPath, weatherBody([[1, 1]]))).status).toBe(200);
      const failed = await ask(
        '/v2/repository/models/weather/load',
        '{"parameters":{"config":"{}"}}',
      );
      expect([failed.status, await failed.json()]).toMatchObject([
        501,
        { error: expect.stringMatching(/^Parameter "config"/) },
      ]);
    } finally {
      await own.close();
    }
  });
});

describe('the Open Inference Protocol', () => {
  test('answers an inference with its id, version and trace', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const { status, headers, json } = await infer(weatherBody([[3, 1]], { id: 'my-id' }), {
      traceparent,
    });
    expect(status).toBe(200);
    const rain = 1 / (1 + Math.exp(-4));
    expect(json).toEqual({
      model_name: 'weather',
      model_version: '1.0.1',
      id: 'my-id',
      outputs: [
        { name: 'label', shape: [1], datatype: 'BYTES', data: ['rain'] },
        { name: 'probabilities', shape: [1, 2], datatype: 'FP64', data: [rain, 1 - rain] },
      ],
    });
    expect(headers.get('x-model-version')).toBe('1.0.1');
    expect(headers.get('x-request-id')).toBe('my-id');
    expect(headers.get('traceparent')).toMatch(
      /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/,
    );
  });

  test('answers the correlation that came; a trace without one gives it, and one without a trace', async () => {
    const ofCorrelation = await infer(weatherBody([[1, 1]]), { 'x-correlation-id': 'alarm-7' });
    expect(ofCorrelation.headers.get('x-correlation-id')).toBe('alarm-7');
    const traces = [1, 2].map(async () => {
      const { headers } = await infer(weatherBody([[1, 1]]), { 'x-correlation-id': 'alarm-7' });
      return headers.get('traceparent')?.split('-')[1];
    });
    expect(new Set(await Promise.all(traces)).size).toBe(1);
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const ofTrace = await infer(weatherBody([[1, 1]]), { traceparent });
    expect(ofTrace.headers.get('x-correlation-id')).toBe('0af76519-16cd-43dd-8448-eb211c80319c');
    const hostile = await infer(weatherBody([[1, 1]]), { 'x-correlation-id': 'x'.repeat(5000) });
    expect(hostile.headers.get('x-correlation-id')).toMatch(/^[0-9a-f-]{36}$/);
    const refused = await infer('{', { 'x-correlation-id': 'alarm-7' });
    expect([refused.status, refused.headers.get('x-correlation-id')]).toEqual([400, 'alarm-7']);
  });

  test('makes an id and a trace where none is given, and takes x-request-id', async () => {
    const made = await infer(weatherBody([[1, 1]]), { traceparent: 'nonsense' });
    expect(made.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(made.headers.get('traceparent')).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    expect(made.json).not.toHaveProperty('id');
    const given = await infer(weatherBody([[1, 1]]), { 'x-request-id': 'from-header' });
    expect(given.headers.get('x-request-id')).toBe('from-header');
  });

  test('keeps an id that no header can hold out of the headers', async () => {
    const { status, headers, json } = await infer(
      weatherBody([[1, 1]], { id: 'a\r\nset-cookie: x=1' }),
    );
    expect(status).toBe(200);
    expect(json).toHaveProperty('id', 'a\r\nset-cookie: x=1');
    expect(headers.get('x-request-id')).toBe('a%0D%0Aset-cookie%3A%20x%3D1');
    expect(headers.get('set-cookie')).toBe(null);
  });

  test('takes and gives binary tensors at any offset', async () => {
    const header = Buffer.from(
      JSON.stringify({
        parameters: { binary_data_output: true },
        inputs: [
          { name: 'x', shape: [2, 2], datatype: 'FP64', parameters: { binary_data_size: 32 } },
        ],
        outputs: [{ name: 'probabilities' }, { name: 'label', parameters: { binary_data: false } }],
      }),
    );
    const body = Buffer.concat([header, Buffer.from(new Float64Array([2, 2, -3, 0]).buffer)]);
    const response = await fetch(server.url + inferPath, {
      method: 'POST',
      body,
      headers: { 'inference-header-content-length': String(header.length) },
    });
    expect(response.status).toBe(200);
    const bytes = Buffer.from(await response.arrayBuffer());
    const length = Number(response.headers.get('inference-header-content-length'));
    expect(JSON.parse(bytes.subarray(0, length).toString()).outputs).toEqual([
      {
        name: 'probabilities',
        shape: [2, 2],
        datatype: 'FP64',
        parameters: { binary_data_size: 32 },
      },
      { name: 'label', shape: [2], datatype: 'BYTES', data: ['rain', 'sun'] },
    ]);
    const values = new Float64Array(new Uint8Array(bytes.subarray(length)).buffer);
    expect(values[0]).toBeCloseTo(0.982, 3);
  });

  test('takes a body that is the data of the only input, and answers in binary', async () => {
    const response = await fetch(`${server.url}/v2/models/weather/versions/1.0.1/infer`, {
      method: 'POST',
      body: new Float64Array([2, 2, -3, 0]),
      headers: {
        'inference-header-content-length': '0',
        'content-type': 'application/octet-stream',
      },
    });
    expect(response.status).toBe(200);
    const bytes = Buffer.from(await response.arrayBuffer());
    const length = Number(response.headers.get('inference-header-content-length'));
    const { outputs } = JSON.parse(bytes.subarray(0, length).toString());
    expect(outputs).toMatchObject([
      { name: 'label', shape: [2], parameters: { binary_data_size: 15 } },
      { name: 'probabilities', shape: [2, 2], parameters: { binary_data_size: 32 } },
    ]);
    expect(bytes.subarray(length + 4, length + 8).toString()).toBe('rain');
  });

  test.each(['', '/'])('describes the server and the model, with "%s" at the end', async (end) => {
    expect((await send(`/v2${end}`)).json).toMatchObject({
      name: 'keelson',
      extensions: expect.arrayContaining(['binary_tensor_data']),
    });
    expect((await send(`/v2/health/live${end}`)).json).toEqual({ live: true });
    expect((await send(`/v2/health/ready${end}`)).json).toEqual({ live: true, ready: true });
    expect((await send(`/v2/models/weather/ready${end}`)).json).toEqual({
      name: 'weather',
      ready: true,
    });
    const model = await send(`/v2/models/weather${end}`);
    expect(model.json).toMatchObject({
      name: 'weather',
      versions: ['1.0.1', '1.0.2'],
      inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2], columns: ['wind', 'cloud'] }],
    });
    expect((await send(`/v2/models/weather/versions/1.0.2${end}`)).json).toMatchObject({
      versions: ['1.0.2'],
    });
    expect((await send(`/v2/models/weather/versions${end}`)).json).toEqual({
      name: 'weather',
      versions: ['1.0.1', '1.0.2'],
    });
    expect((await send(`/v2/repository/index${end}`, { method: 'POST' })).json).toMatchObject([
      { state: 'READY' },
      { version: '1.0.2' },
    ]);
  });

  test('answers by the version that is asked for', async () => {
    const path = '/v2/models/weather/versions/1.0.2/infer';
    const { json } = await send(path, { method: 'POST', body: weatherBody([[1, 1]]) });
    expect(json).toMatchObject({ model_version: '1.0.2' });
  });

  test('unpacks gzip and deflate', async () => {
    for (const [encoding, body] of [
      ['gzip', gzipSync(weatherBody([[1, 1]]))],
      ['deflate', deflateSync(weatherBody([[1, 1]]))],
      ['identity', weatherBody([[1, 1]])],
    ] as const) {
      expect((await infer(body, { 'content-encoding': encoding })).status).toBe(200);
    }
  });

  test('takes bodies without Content-Type, as some clients send them', async () => {
    const body = weatherBody([[1, 1]]);
    const answer = await sendRaw(
      `POST ${inferPath} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("answers TensorFlow Serving's predict, row by row and by columns", async () => {
    const predict = (body: object, version = '') =>
      send(`/v1/models/weather${version}:predict`, { method: 'POST', body: JSON.stringify(body) });
    const rows = await predict({ instances: [{ wind: 3, cloud: 1 }, { x: [-3, 0] }] });
    expect(rows.json).toMatchObject({ predictions: [{ label: 'rain' }, { label: 'sun' }] });
    const columns = await predict(
      {
        inputs: [
          [3, 1],
          [-3, 0],
        ],
      },
      '/versions/1.0.2',
    );
    expect(columns.json).toMatchObject({ outputs: { label: ['rain', 'sun'] } });
    expect(columns.headers.get('x-model-version')).toBe('1.0.2');
    expect((await predict({ instances: [{ wind: 3 }] })).json).toEqual({
      error: 'instances[0].cloud: expected a value, not none.',
    });
    expect((await send('/v1/models/weather')).json).toMatchObject({
      model_version_status: [{ state: 'AVAILABLE' }],
    });
  });
});

describe('what is wrong with a request is said', () => {
  const table: readonly (readonly [what: string, body: string, status: number, error: RegExp])[] = [
    ['nothing', '', 400, /^body: expected a JSON object with "inputs", not an empty body/],
    ['no JSON', '{"inputs":[', 400, /^body: expected JSON/],
    ['no UTF-8', '\u0000', 400, /^body: expected JSON/],
    ['a list', '[]', 400, /^body: expected an object, not a list of 0/],
    ['null', 'null', 400, /^body: expected an object, not null/],
    ['no inputs', '{}', 400, /^inputs: expected a list of at least one tensor/],
    ['inputs that are none', '{"inputs":[1]}', 400, /^inputs\[0\]: expected an object, not 1/],
    [
      'no name',
      '{"inputs":[{"shape":[1],"datatype":"FP64","data":[1]}]}',
      400,
      /^inputs\[0\]\.name/,
    ],
    ['a wrong id', weatherBody([[1, 1]], { id: 5 }), 400, /^id: expected a text/],
    [
      'a long id',
      weatherBody([[1, 1]], { id: 'x'.repeat(5000) }),
      400,
      /^id: expected a text of at most 256/,
    ],
    [
      'an unknown datatype',
      weatherBody([[1, 1]]).replace('FP64', 'DOUBLE'),
      400,
      /^inputs\[0\]\.datatype: expected a datatype/,
    ],
    [
      'a datatype of the prototype',
      weatherBody([[1, 1]]).replace('FP64', 'constructor'),
      400,
      /^inputs\[0\]\.datatype/,
    ],
    [
      'a negative size',
      weatherBody([[1, 1]]).replace('[1,2]', '[-1,2]'),
      400,
      /^inputs\[0\]\.shape: expected sizes that are integers from 0, not -1/,
    ],
    ['half a row', weatherBody([[1, 1]]).replace('[1,2]', '[1.5,2]'), 400, /^inputs\[0\]\.shape/],
    [
      'a huge shape',
      weatherBody([[1, 1]]).replace('[1,2]', '[4294967296,4294967296]'),
      400,
      /^inputs\[0\]\.shape: expected fewer elements/,
    ],
    [
      'a large shape without data',
      weatherBody([[1, 1]]).replace('[1,2]', '[1000000000,2]'),
      400,
      /^inputs\[0\]\.data: expected a list of 1000000000/,
    ],
    [
      'a shape of 10,000 dimensions',
      weatherBody([[1, 1]]).replace('[1,2]', `[${Array(10_000).fill(1)}]`),
      400,
      /^inputs\[0\]\.shape: expected a list of at most 32/,
    ],
    [
      'less data than the shape says',
      weatherBody([[1, 1]]).replace('[1,2]', '[3,2]'),
      400,
      /^inputs\[0\]\.data: expected a list of 3/,
    ],
    [
      'ragged rows',
      weatherBody([[1, 1], [1]]),
      400,
      /^inputs\[0\]\.data\[1\]: expected a list of 2/,
    ],
    [
      'too deep data',
      `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP64","data":${'['.repeat(40_000)}${']'.repeat(40_000)}}]}`,
      400,
      /^inputs\[0\]\.data\[0\]: expected a list of 2/,
    ],
    [
      'too deep JSON with a long integer',
      `{"a":${'['.repeat(40_000)}${']'.repeat(40_000)},"inputs":[{"name":"x","shape":[1],"datatype":"INT64","data":[9007199254740993]}]}`,
      400,
      /^body: expected JSON of moderate depth/,
    ],
    [
      'a text among numbers',
      weatherBody([[1, 1]]).replace('[[1,1]]', '[1,"1"]'),
      400,
      /^inputs\[0\]\.data\[1\]: expected a number .*not the text "1"/,
    ],
    [
      'data that is an object',
      weatherBody([[1, 1]]).replace('[[1,1]]', '{"length":2}'),
      400,
      /^inputs\[0\]\.data: expected a list, not an object/,
    ],
    [
      'a prototype',
      `{"__proto__":{"inputs":[]},"constructor":{"prototype":{}}}`,
      400,
      /^inputs: expected a list/,
    ],
    [
      'a prototype as input',
      weatherBody([[1, 1]]).replace('"x"', '"__proto__"'),
      422,
      /^inputs\[0\]\.name: the model expects one of "x"/,
    ],
    [
      'an unknown input',
      weatherBody([[1, 1]]).replace('"x"', '"y"'),
      422,
      /^inputs\[0\]\.name: the model expects one of "x", not "y"/,
    ],
    [
      'an input twice',
      JSON.stringify({ inputs: [1, 2].map(() => JSON.parse(weatherBody([[1, 1]])).inputs[0]) }),
      400,
      /^inputs\[1\]\.name: expected each input once/,
    ],
    [
      'another datatype',
      weatherBody([[1, 1]]).replace('FP64', 'FP32'),
      422,
      /^inputs\[0\]\.datatype: the model expects FP64 for "x", not FP32/,
    ],
    [
      'another shape',
      weatherBody([[1, 1, 1]]).replace('[1,2]', '[1,3]'),
      422,
      /^inputs\[0\]\.shape: the model expects \[-1,2\] for "x"/,
    ],
    [
      'another rank',
      weatherBody([[1, 1]])
        .replace('[1,2]', '[2]')
        .replace('[[1,1]]', '[1,1]'),
      422,
      /^inputs\[0\]\.shape/,
    ],
    [
      'an unknown output',
      weatherBody([[1, 1]], { outputs: [{ name: 'nope' }] }),
      400,
      /^outputs\[0\]\.name: expected one of "label", "probabilities"/,
    ],
    [
      'an output twice',
      weatherBody([[1, 1]], { outputs: [{ name: 'label' }, { name: 'label' }] }),
      400,
      /^outputs\[1\]\.name: expected each output once/,
    ],
    [
      'binary data without any',
      '{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP64","parameters":{"binary_data_size":16}}]}',
      400,
      /^inputs\[0\]\.parameters\.binary_data_size: expected an integer from 0 to the 0 bytes left/,
    ],
    [
      'a negative binary size',
      '{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP64","parameters":{"binary_data_size":-1}}]}',
      400,
      /binary_data_size/,
    ],
    [
      'nested parameters',
      weatherBody([[1, 1]], { parameters: { a: { b: 1 } } }),
      400,
      /^parameters\.a: expected a text, a boolean or a safe number/,
    ],
    [
      'a time that is none',
      weatherBody([[1, 1]], { parameters: { at: 'yesterday' } }),
      400,
      /^parameters\.at: expected the time/,
    ],
    [
      'too many rows',
      weatherBody(Array.from({ length: 501 }, () => [1, 1])),
      413,
      /has 501 rows; a request may have 500/,
    ],
    [
      'a model that throws',
      weatherBody([[1, 1]], { parameters: { throw: 'boo' } }),
      500,
      /Error: boo/,
    ],
  ];

  test.each(table)('%s', async (_what, body, status, error) => {
    const answer = await infer(body);
    expect({ status: answer.status, json: answer.json }).toEqual({
      status,
      json: { error: expect.stringMatching(error) },
    });
  });

  test('and the server goes on', async () => {
    expect((await infer(weatherBody([[1, 1]]))).status).toBe(200);
    expect(server.status()[0]).toMatchObject({
      state: 'HEALTHY',
      versions: [{ crashes: 0 }, { crashes: 0 }],
    });
  });

  const others: readonly (readonly [
    what: string,
    path: string,
    init: RequestInit,
    status: number,
    error: RegExp,
  ])[] = [
    ['an unknown path', '/v2/nothing', {}, 404, /nothing at \/v2\/nothing/],
    [
      'an unknown deployment',
      '/v2/models/nope/infer',
      { method: 'POST', body: '{}' },
      404,
      /no deployment "nope"/,
    ],
    [
      'a deployment of the prototype',
      '/v2/models/__proto__/infer',
      { method: 'POST', body: '{}' },
      404,
      /no deployment "__proto__"/,
    ],
    [
      'an unknown version',
      '/v2/models/weather/versions/9/infer',
      { method: 'POST', body: weatherBody([[1, 1]]) },
      404,
      /serves no version 9; it serves 1\.0\.1, 1\.0\.2/,
    ],
    [
      'a broken escape',
      '/v2/models/%E0%A4%A/infer',
      { method: 'POST', body: '{}' },
      400,
      /malformed escape/,
    ],
    ['the wrong method', inferPath, {}, 405, /GET is not allowed here; use POST/],
    ['another wrong method', '/v2/models/weather', { method: 'DELETE' }, 405, /use GET, HEAD/],
    [
      'a form',
      inferPath,
      { method: 'POST', body: new FormData() },
      415,
      /multipart\/form-data is not supported/,
    ],
    [
      'an unknown encoding',
      inferPath,
      { method: 'POST', body: 'x', headers: { 'content-encoding': 'br' } },
      415,
      /Content-Encoding br/,
    ],
    [
      'data that is not gzip',
      inferPath,
      { method: 'POST', body: 'x', headers: { 'content-encoding': 'gzip' } },
      400,
      /expected data in its Content-Encoding/,
    ],
    [
      'a gzip bomb',
      inferPath,
      {
        method: 'POST',
        body: gzipSync(Buffer.alloc(5_000_000)),
        headers: { 'content-encoding': 'gzip' },
      },
      413,
      /limit of 100000 bytes/,
    ],
    [
      'a large body',
      inferPath,
      { method: 'POST', body: Buffer.alloc(100_001) },
      413,
      /limit of 100000 bytes/,
    ],
    [
      'a header length beyond the body',
      inferPath,
      { method: 'POST', body: '{}', headers: { 'inference-header-content-length': '3' } },
      400,
      /up to the body's 2 bytes, not 3/,
    ],
    [
      'a header length that is none',
      inferPath,
      { method: 'POST', body: '{}', headers: { 'inference-header-content-length': '-1' } },
      400,
      /a number of bytes/,
    ],
    [
      'raw data that is no whole number of rows',
      inferPath,
      {
        method: 'POST',
        body: new Uint8Array(24),
        headers: { 'inference-header-content-length': '0' },
      },
      400,
      /^body: expected a multiple of 16 bytes for FP64 "x" of shape \[-1,2\], not 24/,
    ],
    [
      'a hanging model',
      inferPath,
      { method: 'POST', body: weatherBody([[1, 1]], { parameters: { spin: 1e9 } }) },
      504,
      /did not answer within/,
    ],
  ];

  test.each(others)('%s', async (_what, path, init, status, error) => {
    const answer = await send(path, init);
    expect({ status: answer.status, json: answer.json }).toEqual({
      status,
      json: { error: expect.stringMatching(error) },
    });
    if (status === 405)
      expect(answer.headers.get('allow')).toBe(init.method === 'DELETE' ? 'GET, HEAD' : 'POST');
  });

  test('a large body whose length is not announced', async () => {
    const chunk = 'a'.repeat(50_000);
    const answer = await sendRaw(
      `POST ${inferPath} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${`c350\r\n${chunk}\r\n`.repeat(3)}0\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 413 [\s\S]*limit of 100000 bytes/);
  });

  test('bytes that are no HTTP', async () => {
    expect(await sendRaw('NONSENSE\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('and all of them leave the server as it was', async () => {
    expect((await infer(weatherBody([[1, 1]]))).status).toBe(200);
  });
});

test('the Web face answers as the server does', async () => {
  const url = `http://any.example${inferPath}`;
  const good = await server.fetch(
    new Request(url, { method: 'POST', body: weatherBody([[3, 1]], { id: 'web' }) }),
  );
  expect(good.status).toBe(200);
  expect(await good.json()).toMatchObject({ id: 'web', outputs: [{ data: ['rain'] }, {}] });
  const large = await server.fetch(
    new Request(url, { method: 'POST', body: Buffer.alloc(100_001) }),
  );
  expect(large.status).toBe(413);
  expect((await server.fetch(new Request('http://any.example/v2/health/ready'))).status).toBe(200);
});

test('a client over its own limit is told when to come again', async () => {
  await using limited = await serve(bed.source, {
    deployments: ['weather'],
    rateLimit: { requestsPerSecond: 1, burst: 3, header: 'X-Client' },
  });
  const ask = async (client: string): Promise<Response> =>
    fetch(limited.url + inferPath, {
      method: 'POST',
      body: weatherBody([[1, 1]]),
      headers: { 'x-client': client },
    });
  const answers = await Promise.all(Array.from({ length: 5 }, () => ask('eager')));
  const statuses = answers.map(({ status }) => status).sort();
  expect(statuses).toEqual([200, 200, 200, 429, 429]);
  expect(answers.find(({ status }) => status === 429)?.headers.get('retry-after')).toBe('1');
  expect((await ask('calm')).status).toBe(200);
});

test('requests over what the queue holds are sent away at once', async () => {
  await using small = await serve(bed.source, {
    deployments: ['weather'],
    replicas: 1,
    maxQueue: 1,
  });
  const body = weatherBody([[1, 1]], { parameters: { wait: 50 } });
  const answers = await Promise.all(
    Array.from({ length: 60 }, () => fetch(small.url + inferPath, { method: 'POST', body })),
  );
  const refused = answers.filter(({ status }) => status === 503);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length + answers.filter(({ status }) => status === 200).length).toBe(60);
  expect(refused[0]?.headers.get('retry-after')).toBe('1');
  expect(await refused[0]?.json()).toEqual({ error: expect.stringContaining('overloaded') });
});
