import type { ModelSignature } from '@keelson/core';
import type { ModelRuntimeHarness } from '@keelson/core/testing';
import { RemoteRuntime, type RemoteRuntimeName } from '../src/remote/remote-runtime.ts';
import { serve } from '../src/serve.ts';
import { suiteModels } from '../src/testing/runtime-models.ts';
import { ServingBed } from '../src/testing/serving-bed.ts';
import { type Answering, type SeenRequest, StandInServer } from './stand-in-server.ts';

/** A value of a request as a server has read it: a text is no number to it. */
type Rows = readonly (readonly number[])[];

/** Each kind of server with the model of the suite for `ModelRuntime`, which reads and writes as that server does. */
const doubles: Readonly<Record<RemoteRuntimeName, Answering>> = {
  v2: (request, response) => {
    if (request.line === 'GET /v2') return { name: 'double', extensions: [] };
    if (request.line === 'GET /v2/models/m') return { name: 'm', ...metadata };
    if (request.line.startsWith('GET')) return {};
    const { inputs } = JSON.parse(request.body) as {
      inputs: { name: string; data: (number | string)[] }[];
    };
    // By NumPy, which takes the text NaN for a number.
    const of = (wanted: string) => inputs.find(({ name }) => name === wanted)?.data.map(Number);
    const [a, b] = [of('a'), of('b')];
    if (a === undefined || b === undefined) return refused(response, 'inputs a and b are needed');
    const output = (name: string, combine: Combine): string =>
      `{"name":"${name}","datatype":"FP32","shape":[${a.length / 2},2],"data":${written(a.map((x, i) => combine(x, b[i] as number)))}}`;
    return `{"model_name":"m","outputs":[${output('difference', minus)},${output('sum', plus)}]}`;
  },
  'tensorflow-serving': (request, response) => {
    if (request.line.startsWith('GET'))
      return { model_version_status: [{ version: '1', state: 'AVAILABLE' }] };
    return answered(request, response, ({ inputs }) => inputs as Columns, 'outputs');
  },
  torchserve: (request, response) => {
    if (request.line.startsWith('GET')) return { status: 'Healthy' };
    const { rows, fault } = numbersIn(request);
    if (fault !== undefined) return refused(response, fault);
    const { instances } = rows as { instances: readonly { a: number[]; b: number[] }[] };
    const predictions = instances.map(({ a, b }) => {
      const of = (combine: Combine): string => written(a.map((x, i) => combine(x, b[i] as number)));
      return `{"sum":${of(plus)},"difference":${of(minus)}}`;
    });
    return `{"predictions":[${predictions.join(',')}]}`;
  },
  mlflow: (request, response) => {
    if (request.line.startsWith('GET')) return '';
    return answered(request, response, ({ inputs }) => inputs as Columns, 'predictions');
  },
};

const tensor = (name: string) => ({ name, datatype: 'FP32', shape: [-1, 2] }) as const;
const metadata: ModelSignature = {
  inputs: ['a', 'b'].map(tensor),
  outputs: ['sum', 'difference'].map(tensor),
};

interface Columns {
  readonly a: Rows;
  readonly b: Rows;
}
type Combine = (x: number, y: number) => number;
const plus: Combine = (x, y) => Math.fround(x + y);
const minus: Combine = (x, y) => Math.fround(x - y);

/** Answers columns with columns. */
function answered(
  request: SeenRequest,
  response: Parameters<Answering>[1],
  columns: (body: Readonly<Record<string, unknown>>) => Columns,
  key: string,
): unknown {
  const { rows, fault } = numbersIn(request);
  if (fault !== undefined) return refused(response, fault);
  const { a, b } = columns(rows);
  const of = (combine: Combine): string =>
    `[${a.map((row, i) => written(row.map((x, j) => combine(x, b[i]?.[j] as number)))).join(',')}]`;
  return `{"${key}":{"sum":${of(plus)},"difference":${of(minus)}}}`;
}

/** A body with bare NaN and ±Infinity, in which a text where numbers are expected is a fault. */
function numbersIn({ body }: SeenRequest): {
  readonly rows: Readonly<Record<string, unknown>>;
  readonly fault: string | undefined;
} {
  let fault: string | undefined;
  const bare = body.replaceAll(/"[^"]*"|-?\b(?:NaN|Infinity)\b/g, (found) =>
    found.startsWith('"') ? found : `{"bare":"${found}"}`,
  );
  const rows = JSON.parse(bare, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value) && value.some((each) => typeof each === 'string'))
      fault = 'a text is no float';
    return 'bare' in value ? Number(value.bare) : value;
  });
  return { rows: rows as Readonly<Record<string, unknown>>, fault };
}

function written(values: readonly number[]): string {
  return `[${values.map((x) => (Object.is(x, -0) ? '-0.0' : String(x))).join(',')}]`;
}

function refused(response: Parameters<Answering>[1], error: string): object {
  response.statusCode = 400;
  return { error };
}

/** What stands behind a remote runtime in the suite: a double, or for binary tensors a server of this package. */
export const remoteBackends: readonly (RemoteRuntimeName | 'v2 in binary')[] = [
  'v2',
  'v2 in binary',
  'tensorflow-serving',
  'torchserve',
  'mlflow',
];

/** A remote runtime and the suite's model on such a server; nothing listens where its damaged model would be. */
export async function remoteHarness(
  backend: (typeof remoteBackends)[number],
): Promise<ModelRuntimeHarness> {
  const open: AsyncDisposable[] = [];
  const name = backend === 'v2 in binary' ? 'v2' : backend;
  const gone = await StandInServer.start(() => ({}));
  const damaged = gone.url;
  await gone.down();
  return {
    runtime: new RemoteRuntime(name),
    source: { endpoint: backend === name ? await double(name, open) : await ours(open) },
    config: { model: 'm' },
    damaged: { source: { endpoint: damaged }, names: damaged, code: 'UNAVAILABLE' },
    // The others' protocols do not say what a model takes; a wrong signature shows when the server refuses inputs.
    knowsSignature: name === 'v2',
    async [Symbol.asyncDispose]() {
      for (const each of open.reverse()) await each[Symbol.asyncDispose]();
    },
  };
}

async function double(name: RemoteRuntimeName, open: AsyncDisposable[]): Promise<string> {
  const server = await StandInServer.start(doubles[name]);
  open.push(server);
  return server.url;
}

async function ours(open: AsyncDisposable[]): Promise<string> {
  const bed = await ServingBed.open();
  open.push(bed);
  await bed.addModel('m', suiteModels.javascript, metadata);
  bed.setRoute({ m: 100 }, {}, 'm');
  const server = await serve(bed.source, { deployments: ['m'], isolation: 'none' });
  open.push(server);
  return server.url;
}
