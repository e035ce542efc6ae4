import type { ModelSignature } from '@keelson/core';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { type InferenceServer, serve } from '../serve.ts';
import { ServingBed, weatherBody } from '../testing/serving-bed.ts';

const datatypes = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP32',
  'FP64',
  'BYTES',
] as const;

/** Every datatype with a JSON form, each with another shape. */
const mixed: ModelSignature = {
  inputs: [
    ...datatypes.map((datatype, i) => ({
      name: `${datatype} in`,
      datatype,
      shape: [[-1], [-1, 2], [-1, -1, 3], [-1, 1]][i % 4] as number[],
    })),
    { name: 'a "quoted/name', datatype: 'FP64', shape: [-1, 2], columns: ['x', '__proto__'] },
  ],
  outputs: [{ name: 'rows', datatype: 'INT64', shape: [-1] }],
};

const half: ModelSignature = {
  inputs: [
    { name: 'h', datatype: 'FP16', shape: [-1, 4] },
    { name: 'b', datatype: 'BF16', shape: [-1] },
  ],
  outputs: [{ name: 'rows', datatype: 'INT64', shape: [-1] }],
};

const scalar: ModelSignature = {
  inputs: [{ name: 's', datatype: 'FP64', shape: [] }],
  outputs: [{ name: 'rows', datatype: 'INT64', shape: [-1] }],
};

const open: ModelSignature = {
  inputs: [{ name: 'any', datatype: 'FP32', shape: [], unranked: true }],
  outputs: [{ name: 'rows', datatype: 'INT64', shape: [-1] }],
};

const rowsModule = `export function load() {
  return { predict: (_inputs, { rowCount }) => ({ rows: new Array(rowCount).fill(rowCount) }) };
}`;

interface Operation {
  readonly operationId: string;
  readonly requestBody?: {
    readonly content: Readonly<
      Record<
        string,
        {
          readonly schema: object;
          readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
          readonly 'x-example'?: Readonly<Record<string, string | number>>;
        }
      >
    >;
  };
  readonly responses: Readonly<
    Record<string, { readonly content?: Record<string, { schema: object }> }>
  >;
}
interface Document {
  readonly components: object;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly info: { readonly title: string; readonly version: string };
}

async function documentOf(server: InferenceServer, path: string): Promise<Document> {
  const answer = await fetch(`${server.url}${path}`);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json']);
  return (await answer.json()) as Document;
}

/** What a schema of the document says of a value. */
function judge(document: Document): (schema: object, value: unknown) => string {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const { components } = document;
  const compiled = new Map<string, ValidateFunction>();
  return (schema, value) => {
    const key = JSON.stringify(schema);
    const validate = compiled.get(key) ?? ajv.compile({ ...schema, components });
    compiled.set(key, validate);
    return validate(value) ? 'fits' : ajv.errorsText(validate.errors);
  };
}

async function assertValid(document: Document): Promise<void> {
  const result = await new Validator().validate(JSON.parse(JSON.stringify(document)));
  expect(result).toMatchObject({ valid: true });
}

/** Sends every example of every operation; what was asked, by path and example. */
async function sendExamples(server: InferenceServer, document: Document): Promise<string[]> {
  const says = judge(document);
  const sent: string[] = [];
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const ok = operation.responses['200']?.content?.['application/json']?.schema;
      const ask = async (label: string, init: RequestInit): Promise<void> => {
        const answer = await fetch(`${server.url}${path}`, {
          method: method.toUpperCase(),
          ...init,
        });
        const text = await answer.text();
        expect([path, label, answer.status, text]).toEqual([path, label, 200, text]);
        if (ok !== undefined && answer.headers.get('content-type') === 'application/json')
          expect([path, says(ok, JSON.parse(text))]).toEqual([path, 'fits']);
        sent.push(`${path} ${label}`);
      };
      const content = operation.requestBody?.content;
      if (content === undefined) await ask('', {});
      for (const [type, { schema, examples = {}, 'x-example': bytes }] of Object.entries(
        content ?? {},
      )) {
        for (const [name, { value }] of Object.entries(examples)) {
          expect([path, name, says(schema, value)]).toEqual([path, name, 'fits']);
          await ask(name, { headers: { 'content-type': type }, body: JSON.stringify(value) });
        }
        if (bytes === undefined) continue;
        const { base64, ...headers } = bytes;
        const body = Buffer.from(String(base64), 'base64');
        await ask('binary', {
          headers: { 'content-type': type, ...(headers as Record<string, string>) },
          body,
        });
      }
    }
  }
  return sent;
}

test('the document is valid, and every example in it is answered with what it promises', async () => {
  await using bed = await ServingBed.open();
  const files = { 'model.mjs': rowsModule };
  await bed.addModel('mixed', files, mixed);
  await bed.addModel('half', files, half);
  await bed.addModel('scalar', files, scalar);
  await bed.addModel('open', files, open);
  await bed.addModel('a');
  await bed.addModel('b');
  for (const id of ['mixed', 'half', 'scalar', 'open'])
    bed.setRoute({ [id]: 100 }, {}, `${id} % model`);
  bed.setRoute({ a: 90, b: 10 });
  const deployments = [
    'weather',
    'mixed % model',
    'half % model',
    'scalar % model',
    'open % model',
  ];
  await using server = await serve(bed.source, { deployments, isolation: 'none' });
  const document = await documentOf(server, '/openapi.json');
  await assertValid(document);
  const ids = Object.values(document.paths).flatMap((item) =>
    Object.values(item).map((o) => o.operationId),
  );
  expect(new Set(ids).size).toBe(ids.length);

  const sent = await sendExamples(server, document);
  const of = (name: string): string[] =>
    sent.filter((line) => line.includes(encodeURIComponent(name)) && !line.endsWith(' '));
  const at = (path: string): string[] => [`${path}/infer request`, `${path}/infer binary`];
  const predict = (path: string): string[] => [
    `${path}:predict instances`,
    `${path}:predict inputs`,
  ];
  expect(of('weather').sort()).toEqual(
    ['', '/versions/1.0.a', '/versions/1.0.b']
      .flatMap((version) => [
        ...at(`/v2/models/weather${version}`),
        ...predict(`/v1/models/weather${version}`),
      ])
      .sort(),
  );
  expect(of('mixed % model')).toHaveLength(8);
  // No JSON form, so no example in JSON and no predict.
  expect(of('half % model').every((line) => line.endsWith('/infer binary'))).toBe(true);
  expect(of('half % model')).toHaveLength(2);
  expect(of('scalar % model')).toHaveLength(4);
  expect(of('open % model')).toHaveLength(4);

  const one = await documentOf(server, '/v2/models/weather/openapi.json');
  await assertValid(one);
  expect(one.info).toMatchObject({ title: 'Deployment weather', version: '1.0.a' });
  expect(Object.keys(one.paths).every((path) => /^\/v[12]\/models\/weather/.test(path))).toBe(true);
  expect(await sendExamples(server, one)).toContain(
    '/v2/models/weather/versions/1.0.b/infer binary',
  );
});

test('schemas refuse what the server refuses', async () => {
  await using bed = await ServingBed.open();
  await bed.addModel('a');
  bed.setRoute({ a: 100 });
  await using server = await serve(bed.source, { deployments: ['weather'], isolation: 'none' });
  const document = await documentOf(server, '/v2/models/weather/openapi.json');
  const says = judge(document);
  const check = async (path: string, value: unknown): Promise<[number, boolean]> => {
    const answer = await fetch(`${server.url}${path}`, {
      method: 'POST',
      body: JSON.stringify(value),
    });
    await answer.arrayBuffer();
    const schema =
      document.paths[path]?.post?.requestBody?.content['application/json']?.schema ?? {};
    return [answer.status, says(schema, value) === 'fits'];
  };
  const infer = '/v2/models/weather/infer';
  const good = JSON.parse(weatherBody([[1, 2]])) as { inputs: Record<string, unknown>[] };
  const x = good.inputs[0] ?? {};
  expect(await check(infer, good)).toEqual([200, true]);
  expect(await check(infer, { inputs: [{ ...x, data: [1, 2] }] })).toEqual([200, true]);
  expect(await check(infer, { inputs: [{ ...x, data: [['NaN', 2]] }] })).toEqual([200, true]);
  const bad: [number, unknown][] = [
    [400, {}],
    [400, { inputs: [] }],
    [422, { inputs: [{ ...x, name: 'y' }] }],
    [422, { inputs: [{ ...x, datatype: 'FP32' }] }],
    [422, { inputs: [{ ...x, shape: [1, 3], data: [[1, 2, 3]] }] }],
    [422, { inputs: [{ ...x, shape: [2], data: [1, 2] }] }],
    [400, { inputs: [{ ...x, data: [['1', 2]] }] }],
    [400, { inputs: [{ ...x, data: undefined }] }],
    [400, { ...good, id: 5 }],
    [400, { ...good, parameters: { a: [] } }],
    [400, { ...good, outputs: [{ name: 'none' }] }],
  ];
  for (const [status, value] of bad)
    expect([value, ...(await check(infer, value))]).toEqual([value, status, false]);
  const predict = '/v1/models/weather:predict';
  expect(await check(predict, { instances: [{ wind: 1, cloud: 2 }] })).toEqual([200, true]);
  expect(await check(predict, { instances: [[1, 2]] })).toEqual([200, true]);
  expect(await check(predict, { instances: [{ wind: 1 }] })).toEqual([400, false]);
  expect(await check(predict, { instances: [], inputs: [] })).toEqual([400, false]);
});

test('examples are the declared warm-up of the model, where it declares one', async () => {
  await using bed = await ServingBed.open();
  const picky = `export function load() {
    return { predict({ city }, { rowCount }) {
      if (city.data[0] !== 'Oslo') throw new Error('unknown city');
      return { rows: new Array(rowCount).fill(1) };
    } };
  }`;
  const signature: ModelSignature = {
    inputs: [{ name: 'city', datatype: 'BYTES', shape: [-1] }],
    outputs: [{ name: 'rows', datatype: 'INT64', shape: [-1] }],
  };
  const manifest = JSON.stringify({ warmUp: [{ city: ['Oslo', 'Rome'] }] });
  await bed.addModel('a', { 'model.mjs': picky, 'keelson-model.json': manifest }, signature);
  bed.setRoute({ a: 100 });
  await using server = await serve(bed.source, { deployments: ['weather'], isolation: 'none' });
  const document = await documentOf(server, '/openapi.json');
  expect(await sendExamples(server, document)).toContain('/v1/models/weather:predict instances');
  const { content } = document.paths['/v1/models/weather:predict']?.post?.requestBody ?? {};
  expect(content?.['application/json']?.examples?.instances?.value).toEqual({
    instances: ['Oslo', 'Rome'],
  });
});

test('a deployment that is not loaded is left out of the whole, and 503 of its own', async () => {
  await using bed = await ServingBed.open();
  await bed.addModel('a');
  await bed.addModel('bad', { 'model.mjs': 'throw new Error("no")' });
  bed.setRoute({ a: 100 });
  bed.setRoute({ bad: 100 }, {}, 'broken');
  await using server = await serve(bed.source, {
    deployments: ['weather', 'broken'],
    isolation: 'none',
  });
  const document = await documentOf(server, '/openapi.json');
  await assertValid(document);
  expect(Object.keys(document.paths).some((path) => path.includes('broken'))).toBe(false);
  expect((await fetch(`${server.url}/v2/models/broken/openapi.json`)).status).toBe(503);
  expect((await fetch(`${server.url}/v2/models/none/openapi.json`)).status).toBe(404);
});
