import type { ModelSignature, RuntimeConfig } from '@keelson/core';
import { modelRuntimeSuite, runCase } from '@keelson/core/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RemoteRuntime } from '../src/remote/remote-runtime.ts';
import { type InferenceServer, serve } from '../src/serve.ts';
import { ServingBed } from '../src/testing/serving-bed.ts';
import { remoteBackends, remoteHarness } from './remote-doubles.ts';
import { type Answering, StandInServer } from './stand-in-server.ts';

const two: ModelSignature = {
  inputs: [
    { name: 'x', datatype: 'FP64', shape: [-1, 2] },
    { name: 'city', datatype: 'BYTES', shape: [-1] },
  ],
  outputs: [
    { name: 'label', datatype: 'INT64', shape: [-1] },
    { name: 'p', datatype: 'FP64', shape: [-1, 2] },
  ],
};
const one: ModelSignature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2], columns: ['a', 'b'] }],
  outputs: [{ name: 'y', datatype: 'FP64', shape: [-1] }],
};

let bed: ServingBed;
let stand: StandInServer;
let server: InferenceServer | undefined;

beforeEach(async () => {
  bed = await ServingBed.open();
  stand = await StandInServer.start(() => ({}));
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  await stand[Symbol.asyncDispose]();
  await bed[Symbol.asyncDispose]();
});

async function front(
  signature: ModelSignature,
  runtime: Omit<RuntimeConfig, 'endpoint'>,
  answering: Answering,
): Promise<InferenceServer> {
  stand.answering = answering;
  await bed.addModel('1', {}, signature);
  bed.setRoute({ 1: 100 });
  const route = await bed.source.route('weather');
  bed.source.setRoute('weather', {
    ...route,
    serving: { runtime: { endpoint: stand.url, ...runtime } },
  });
  server = await serve(bed.source, { deployments: ['weather'], timeoutMs: 2_000 });
  stand.seen.length = 0;
  return server;
}

async function ask(body: unknown): Promise<{ status: number; json: unknown }> {
  const answer = await fetch(`${server?.url}/v2/models/weather/infer`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  return { status: answer.status, json: await answer.json() };
}

const rowsOfTwo = {
  inputs: [
    { name: 'x', datatype: 'FP64', shape: [2, 2], data: [1, 2, 3, 4.5] },
    { name: 'city', datatype: 'BYTES', shape: [2], data: ['Köln', 'Rom'] },
  ],
};
const rowOfOne = { inputs: [{ name: 'x', datatype: 'FP64', shape: [1, 2], data: [1, 2] }] };
// A text, since 9007199254740993 is no number of JavaScript.
const answersOfTwo =
  '[{"name":"label","shape":[2],"datatype":"INT64","data":[1,9007199254740993]},{"name":"p","shape":[2,2],"datatype":"FP64","data":[0.1,0.9,0.5,"NaN"]}]';

async function expectTwo(): Promise<void> {
  const answer = await fetch(`${server?.url}/v2/models/weather/infer`, {
    method: 'POST',
    body: JSON.stringify(rowsOfTwo),
  });
  expect((await answer.text()).split('"outputs":')[1]).toBe(`${answersOfTwo}}`);
}

/** One row, as probes have it, and two as the test sends them. */
function rowsIn(body: string): number {
  return body.includes('Köln') ? 2 : 1;
}

describe('TensorFlow Serving', () => {
  const outputs = (rows: number): string =>
    rows === 1
      ? '{"outputs":{"label":[0],"p":[[0,0]]}}'
      : '{"outputs":{"label":[1,9007199254740993],"p":[[0.1,0.9],[0.5,NaN]]}}';
  const answering: Answering = ({ line, body }) =>
    line.startsWith('GET')
      ? { model_version_status: [{ version: '3', state: 'AVAILABLE', status: {} }] }
      : outputs(rowsIn(body));

  test('gets columns at its own path, and its answer is read exactly', async () => {
    const runtime = {
      name: 'tensorflow-serving',
      model: 'rain-{version}',
      headers: { authorization: 'Bearer t' },
      options: { version: '3', signatureName: 'serving_default' },
    };
    await front(two, runtime, answering);
    await expectTwo();
    expect(stand.seen).toHaveLength(1);
    const [seen] = stand.seen;
    expect(seen?.line).toBe('POST /v1/models/rain-1.0.1/versions/3:predict');
    expect(seen?.headers.authorization).toBe('Bearer t');
    expect(JSON.parse(seen?.body ?? '')).toEqual({
      signature_name: 'serving_default',
      inputs: {
        x: [
          [1, 2],
          [3, 4.5],
        ],
        city: ['Köln', 'Rom'],
      },
    });
  });

  test('the only output comes without its name', async () => {
    await front(one, { name: 'tensorflow-serving' }, ({ line }) =>
      line.startsWith('GET')
        ? { model_version_status: [{ version: '1', state: 'AVAILABLE' }] }
        : '{"outputs":[[0.25]]}',
    );
    expect((await ask(rowOfOne)).json).toMatchObject({ outputs: [{ name: 'y', data: [0.25] }] });
  });

  test('a model that is not available keeps the deployment from coming up, and says so', async () => {
    const loading = front(one, { name: 'tensorflow-serving' }, () => ({
      model_version_status: [{ version: '1', state: 'LOADING' }],
    }));
    await expect(loading).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/^The inference server at http:.* has weather as LOADING\.$/),
    });
    const controlled = front(
      one,
      { name: 'tensorflow-serving', options: { load: true } },
      answering,
    );
    await expect(controlled).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});

describe('TorchServe', () => {
  const answering: Answering = ({ line, body }, response) => {
    if (line === 'GET /ping') return { status: 'Healthy' };
    if (line.startsWith('GET /models/'))
      return [{ modelName: 'm', workers: [{ status: 'READY' }] }];
    if (line.startsWith('POST /models')) {
      response.statusCode = 200;
      return { status: 'Model "m" registered' };
    }
    if (line.startsWith('DELETE')) return { status: 'Model "m" unregistered' };
    return rowsIn(body) === 1
      ? { predictions: [{ label: 0, p: [0, 0] }] }
      : '{"predictions":[{"label":1,"p":[0.1,0.9]},{"label":9007199254740993,"p":[0.5,NaN]}]}';
  };

  test('gets rows, is asked to load and to unload by its management API', async () => {
    const options = {
      management: stand.url,
      archive: 'm.mar',
      load: true,
      unload: true,
      version: '2.0',
    };
    stand.seen.length = 0;
    const lines: string[] = [];
    await front(two, { name: 'torchserve', model: 'm', options }, (request, response) => {
      lines.push(request.line);
      return answering(request, response);
    });
    await expectTwo();
    expect(stand.seen.map(({ line }) => line)).toEqual(['POST /predictions/m/2.0']);
    expect(JSON.parse(stand.seen[0]?.body ?? '')).toEqual({
      instances: [
        { x: [1, 2], city: 'Köln' },
        { x: [3, 4.5], city: 'Rom' },
      ],
    });
    await server?.close();
    expect(lines).toEqual([
      'POST /models?url=m.mar&model_name=m&initial_workers=1&synchronous=true',
      'GET /ping',
      'GET /models/m/2.0',
      'POST /predictions/m/2.0',
      'POST /predictions/m/2.0',
      'DELETE /models/m/2.0',
    ]);
  });

  test("a bare list of a handler's own is rows as well", async () => {
    await front(one, { name: 'torchserve' }, ({ line }) =>
      line === 'GET /ping' ? { status: 'Healthy' } : [0.25],
    );
    expect((await ask(rowOfOne)).json).toMatchObject({ outputs: [{ name: 'y', data: [0.25] }] });
  });
});

describe("MLflow's scoring server", () => {
  test('gets a table where inputs are columns, with parameters, and lists or records come back', async () => {
    let predictions: unknown = [{ y: 0.25 }];
    await front(one, { name: 'mlflow' }, ({ line }) =>
      line === 'GET /ping' ? '' : { predictions },
    );
    for (const form of [[{ y: 0.25 }], [0.25], [[0.25]], { y: [0.25] }, [{ other: 0.25 }]]) {
      predictions = form;
      const { json } = await ask({ ...rowOfOne, parameters: { depth: 3 } });
      expect(json).toMatchObject({ outputs: [{ name: 'y', shape: [1], data: [0.25] }] });
    }
    const [seen] = stand.seen;
    expect(seen?.line).toBe('POST /invocations');
    expect(JSON.parse(seen?.body ?? '')).toEqual({
      dataframe_split: { columns: ['a', 'b'], data: [[1, 2]] },
      params: { depth: 3 },
    });
  });

  test('gets tensors as inputs', async () => {
    await front(two, { name: 'mlflow' }, ({ line, body }) => {
      if (line === 'GET /ping') return '';
      return rowsIn(body) === 1
        ? { predictions: { label: [0], p: [[0, 0]] } }
        : '{"predictions":{"label":[1,9007199254740993],"p":[[0.1,0.9],[0.5,NaN]]}}';
    });
    await expectTwo();
    expect(JSON.parse(stand.seen[0]?.body ?? '')).toEqual({
      inputs: {
        x: [
          [1, 2],
          [3, 4.5],
        ],
        city: ['Köln', 'Rom'],
      },
    });
  });
});

describe('the Open Inference Protocol', () => {
  const v2 =
    (extensions: readonly string[], inferring: Answering, metadata: object = {}): Answering =>
    (request, response) => {
      const { line } = request;
      if (line === 'GET /v2') return { name: 'stand-in', extensions };
      if (line === 'GET /v2/models/m') return { name: 'm', inputs: [], outputs: [], ...metadata };
      if (line.startsWith('GET') || line.includes('/repository/')) return {};
      return inferring(request, response);
    };

  test('JSON where the server has no binary extension, with its deadline', async () => {
    await front(
      two,
      { name: 'v2', model: 'm' },
      v2([], ({ body }) =>
        rowsIn(body) === 1
          ? {
              outputs: [
                { name: 'label', shape: [1], datatype: 'INT64', data: [0] },
                { name: 'p', shape: [1, 2], datatype: 'FP64', data: [0, 0] },
              ],
            }
          : `{"model_name":"m","outputs":${answersOfTwo}}`,
      ),
    );
    await expectTwo();
    const sent = JSON.parse(stand.seen[0]?.body ?? '');
    expect(sent.inputs).toEqual(rowsOfTwo.inputs);
    expect(sent.parameters.timeout).toBeGreaterThan(1_000_000);
    expect(sent.parameters.timeout).toBeLessThanOrEqual(2_000_000);
  });

  test('binary tensors both ways where it has; a chain of two of ours', async () => {
    await bed.addModel('behind');
    bed.setRoute({ behind: 100 }, {}, 'behind');
    await using behind = await serve(bed.source, { deployments: ['behind'], isolation: 'none' });
    const { inputs, outputs } = (await bed.source.model('behind')).signature;
    await front(
      { inputs, outputs },
      { name: 'v2', model: 'behind', endpoint: behind.url } as never,
      () => ({}),
    );
    const { json } = await ask({
      inputs: [{ name: 'x', datatype: 'FP64', shape: [2, 2], data: [5, 5, -5, -5] }],
    });
    expect(json).toMatchObject({ outputs: [{ data: ['rain', 'sun'] }, { shape: [2, 2] }] });
  });

  test('is asked to load and unload only when told to, and once for all who use the model here', async () => {
    const lines: string[] = [];
    const answering = v2([], () => ({
      outputs: [{ name: 'y', shape: [1, 1], datatype: 'FP32', data: [0.25] }],
    }));
    await front(
      one,
      { name: 'v2', model: 'm', options: { load: true, unload: true } },
      (request, response) => {
        if (request.line.includes('/repository/')) lines.push(request.line);
        return answering(request, response);
      },
    );
    expect((await ask(rowOfOne)).json).toMatchObject({
      outputs: [{ datatype: 'FP64', data: [0.25] }],
    });
    await server?.close();
    expect(lines).toEqual([
      'POST /v2/repository/models/m/load',
      'POST /v2/repository/models/m/unload',
    ]);
  });

  test('a signature that contradicts its metadata keeps it from coming up', async () => {
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }];
    const coming = front(
      one,
      { name: 'v2', model: 'm' },
      v2([], () => ({}), { inputs }),
    );
    await expect(coming).rejects.toMatchObject({
      code: 'INVALID',
      message:
        'The signature has FP64 "x" among its inputs; model m of the inference server has it as FP32.',
    });
  });
});

test.each([
  [{ name: 'v2', endpoint: undefined }, /^Runtime v2 needs an endpoint/],
  [{ name: 'v2', endpoint: 'ftp://x' }, /^Endpoint "ftp:\/\/x" must be an address/],
  [{ name: 'mlflow', options: { speed: 1 } }, /^Runtime mlflow has no option "speed"; there are /],
  [
    { name: 'mlflow', options: { format: 'csv' } },
    /must be one of dataframe_split, inputs, instances/,
  ],
  [
    { name: 'v2', options: { concurrency: 0 } },
    /^Option "concurrency" of runtime v2 must be an integer from 1, not 0/,
  ],
])('a configuration that is none is refused: %j', async (runtime, message) => {
  await expect(front(one, runtime as never, () => ({}))).rejects.toMatchObject({
    code: 'INVALID',
    message: expect.stringMatching(message),
  });
});

describe.each(remoteBackends)('the runtime %s keeps the promises of ModelRuntime:', (backend) => {
  for (const suiteCase of modelRuntimeSuite.cases) {
    test(suiteCase.name, () => runCase(suiteCase, () => remoteHarness(backend)));
  }
});

test('a remote runtime takes an endpoint, and the name of the model there', async () => {
  const runtime = new RemoteRuntime('torchserve');
  await expect(runtime.load({ directory: '/m' }, one, {})).rejects.toMatchObject({
    code: 'UNSUPPORTED',
  });
  const nameless = runtime.load({ endpoint: stand.url }, one, {});
  await expect(nameless).rejects.toMatchObject({
    code: 'INVALID',
    message: expect.stringMatching(/^Config "model"/),
  });
});
