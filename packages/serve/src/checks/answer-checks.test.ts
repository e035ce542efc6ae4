import type {
  AnswerChecksConfig,
  Datatype,
  ModelSignature,
  Tensor,
  TensorData,
} from '@keelson/core';
import { expect, test } from 'vitest';
import { serve } from '../serve.ts';
import { ServingBed, weatherBody, weatherModule } from '../testing/serving-bed.ts';
import { compileAnswerChecks } from './answer-checks.ts';
import { usualInputs } from './input-check.ts';

const signature: ModelSignature = {
  inputs: [
    { name: 'table', datatype: 'FP64', shape: [-1, 2], columns: ['wind', 'cloud'] },
    { name: 'city', datatype: 'BYTES', shape: [-1] },
  ],
  outputs: [
    { name: 'x', datatype: 'FP32', shape: [-1, 2] },
    { name: 'n', datatype: 'INT64', shape: [-1] },
  ],
};

function tensor(name: string, datatype: Datatype, shape: number[], data: TensorData): Tensor {
  return { name, datatype, shape, data };
}

const inputs = [
  tensor('table', 'FP64', [2, 2], new Float64Array([1, 2, 3, 4])),
  tensor('city', 'BYTES', [2], ['Oslo', Buffer.from('Rome')]),
];
const x = tensor('x', 'FP32', [2, 2], new Float32Array([1, 2, 3, 4]));
const n = tensor('n', 'INT64', [2], new BigInt64Array([5n, -5n]));

const found = (
  outputs: readonly Tensor[],
  config: AnswerChecksConfig = {},
  given = inputs,
): string[] =>
  (compileAnswerChecks(signature, config).look(given, outputs, 2) ?? []).map(
    ({ name, of, rows, isBroken }) => `${name} ${of} [${rows}]${isBroken ? ' broken' : ''}`,
  );

test('an answer that is as its signature says is not remarked upon', () => {
  expect(found([x, n])).toEqual([]);
  expect(found([n, x], { ranges: { x: { min: 1, max: 4 }, n: { min: -5 } } })).toEqual([]);
  const inputsAsUsual = {
    wind: { min: 1, max: 3 },
    cloud: { max: 4 },
    city: { values: ['Oslo', 'Rome'] },
  };
  expect(found([x, n], { inputs: inputsAsUsual })).toEqual([]);
});

test('what contradicts the signature, a range or the usual inputs is named with its rows', () => {
  const cases: [Tensor[], AnswerChecksConfig, string[]][] = [
    [[x], {}, ['shape n [] broken']],
    [[{ ...x, datatype: 'FP64', data: new Float64Array(4) }, n], {}, ['datatype x []']],
    [[{ ...x, data: new Float64Array(4) }, n], {}, ['datatype x [] broken']],
    [[{ ...x, shape: [2, 3], data: new Float32Array(6) }, n], {}, ['shape x []']],
    [[{ ...x, shape: [4] }, n], {}, ['shape x [] broken']],
    [[{ ...x, shape: [2, 2], data: new Float32Array(3) }, n], {}, ['shape x [] broken']],
    [[{ ...x, shape: [1, 4] }, n], {}, ['shape x [] broken']],
    [[{ ...x, data: new Float32Array([1, 2, Number.NaN, 4]) }, n], {}, ['not_finite x [1]']],
    [
      [{ ...x, data: new Float32Array([Number.NEGATIVE_INFINITY, 2, 3, 4]) }, n],
      {},
      ['not_finite x [0]'],
    ],
    [
      [x, n],
      { ranges: { x: { max: 2.5 }, n: { min: 0 } } },
      ['out_of_range x [1]', 'out_of_range n [1]'],
    ],
    [
      [x, n],
      { inputs: { wind: { min: 2 }, city: { values: ['Rome'] } } },
      ['anomalous_input wind [0]', 'anomalous_input city [0]'],
    ],
  ];
  for (const [outputs, config, findings] of cases)
    expect([config, found(outputs, config)]).toEqual([config, findings]);
});

test('a missing value is unusual, unless it is usual', () => {
  const given = [
    tensor('table', 'FP64', [2, 2], new Float64Array([Number.NaN, 2, 3, 4])),
    inputs[1] as Tensor,
  ];
  expect(found([x, n], { inputs: { wind: { min: 0 } } }, given)).toEqual([
    'anomalous_input wind [0]',
  ]);
  expect(found([x, n], { inputs: { wind: { min: 0, missing: true } } }, given)).toEqual([]);
});

test('half-precision numbers are told from those that are not finite by their bits', () => {
  for (const [datatype, infinity, largest] of [
    ['FP16', 0x7c00, 0x7bff],
    ['BF16', 0xff80, 0x7f7f],
  ] as const) {
    const of = compileAnswerChecks({ inputs: [], outputs: [{ name: 'h', datatype, shape: [-1] }] });
    const look = (bits: number): number | undefined =>
      of.look([], [tensor('h', datatype, [2], new Uint16Array([0, bits]))], 2)?.[0]?.rows[0];
    expect([look(infinity), look(largest)]).toEqual([1, undefined]);
  }
});

test('what inputs usually are, out of rows', () => {
  expect(
    usualInputs([
      { a: 1, b: 'x', c: null },
      { a: -2, b: 'y', c: 3 },
      { a: Number.NaN, b: 'x' },
    ]),
  ).toEqual({
    a: { min: -2, max: 1, missing: true },
    b: { values: ['x', 'y'] },
    c: { min: 3, max: 3, missing: true },
  });
  const many = Array.from({ length: 1_001 }, (_, i) => ({ id: `${i}` }));
  expect(usualInputs(many)).toEqual({ id: {} });
});

interface Asked {
  readonly status: number;
  readonly flags: string | null;
  readonly version: string | null;
  readonly body: {
    readonly parameters?: unknown;
    readonly error?: string;
    readonly outputs?: unknown;
  };
}

async function openBed(
  answers: AnswerChecksConfig,
  more: {
    readonly fallback?: boolean;
    readonly baseline?: string;
    readonly shadow?: boolean;
    readonly module?: string;
  } = {},
): Promise<{
  bed: ServingBed;
  ask: (rows: number[][]) => Promise<Asked>;
  metrics: () => string;
  settled: () => Promise<void>;
  outcomes: () => Promise<unknown>;
  [Symbol.asyncDispose](): Promise<void>;
}> {
  const bed = await ServingBed.open();
  const files = { 'model.mjs': more.module ?? weatherModule };
  await bed.addModel(
    'a',
    more.baseline === undefined ? files : { ...files, 'keelson-baseline.json': more.baseline },
  );
  const sure = weatherModule.replace('rain > 0.5', '0 > 1').replaceAll('rain, 1 - rain', '0, 1');
  await bed.addModel('b', { 'model.mjs': sure });
  bed.setRoute(
    { a: 100 },
    {
      ...(more.fallback ? { fallbackVersionId: 'b' } : {}),
      ...(more.shadow ? { shadows: [{ versionId: 'b', samplePercent: 100 }] } : {}),
    },
    'weather',
    { serving: { answers } },
  );
  const server = await serve(bed.source, { deployments: ['weather'], isolation: 'none' });
  return {
    bed,
    async ask(rows) {
      const answer = await fetch(`${server.url}/v2/models/weather/infer`, {
        method: 'POST',
        body: weatherBody(rows),
      });
      const { headers } = answer;
      const body = (await answer.json()) as Asked['body'];
      return {
        status: answer.status,
        flags: headers.get('x-model-flags'),
        version: headers.get('x-model-version'),
        body,
      };
    },
    metrics: () => server.metrics(),
    settled: () => server.settled(),
    outcomes: () => server.outcomes('weather', 60_000),
    async [Symbol.asyncDispose]() {
      await server.close();
      await bed[Symbol.asyncDispose]();
    },
  };
}

const flagged = (version: string, finding: string, rows: number): string =>
  `keelson_serving_flagged_rows_total{deployment="weather",version="1.0.${version}",finding="${finding}"} ${rows}\n`;

test('a less confident answer is marked in header, parameters, log and metrics, row by row', async () => {
  await using open = await openBed({ minimumConfidence: 0.7 });
  expect(await open.ask([[5, 5]])).toMatchObject({ status: 200, flags: null });
  const answer = await open.ask([
    [5, 5],
    [0, 0.1],
    [-9, 1],
    [0, 0],
  ]);
  expect(answer).toMatchObject({
    status: 200,
    flags: 'low_confidence',
    body: { parameters: { flags: 'low_confidence', low_confidence: 'probabilities: rows 1, 3' } },
  });
  expect(open.bed.sink.rows.map(({ flags }) => flags?.join())).toEqual([
    undefined,
    undefined,
    'low_confidence',
    undefined,
    'low_confidence',
  ]);
  expect(open.metrics()).toContain(flagged('a', 'low_confidence', 2));
});

test('it is refused where that is asked for, which is no failure of the version', async () => {
  await using open = await openBed({ minimumConfidence: 0.7, below: 'refuse' });
  expect(await open.ask([[0, 0]])).toMatchObject({
    status: 422,
    body: {
      error:
        'The model is confident by 0.5 at the least, in row 0; 0.7 is asked for; the answer is withheld.',
    },
  });
  expect(open.bed.sink.rows).toMatchObject([
    { flags: ['low_confidence'], role: 'primary', prediction: null },
  ]);
  expect(await open.outcomes()).toMatchObject([{ versionId: 'a', requests: 1, errors: 0 }]);
});

test('the fallback version answers instead, once; without one it is marked', async () => {
  await using open = await openBed(
    { minimumConfidence: 0.7, below: 'fallback' },
    { fallback: true },
  );
  expect(await open.ask([[0, 0]])).toMatchObject({ status: 200, version: '1.0.b', flags: null });
  expect(open.bed.sink.rows).toMatchObject([
    { versionId: 'a', role: 'shadow', flags: ['low_confidence'] },
    { versionId: 'b', role: 'primary' },
  ]);
  await using without = await openBed({ minimumConfidence: 0.7, below: 'fallback' });
  expect(await without.ask([[0, 0]])).toMatchObject({
    status: 200,
    version: '1.0.a',
    flags: 'low_confidence',
  });
});

const nanModule = weatherModule.replace(
  '[rain, 1 - rain]',
  '[rain, x.data[0] > 8 ? NaN : 1 - rain]',
);

test('an answer that is not finite goes out marked, or is a failure where that is enforced', async () => {
  await using lenient = await openBed({}, { module: nanModule });
  expect(await lenient.ask([[9, 1]])).toMatchObject({
    status: 200,
    flags: 'not_finite',
    body: { parameters: { not_finite: 'probabilities: row 0' } },
  });
  await using strict = await openBed({ enforce: true }, { module: nanModule });
  expect(await strict.ask([[1, 1]])).toMatchObject({ status: 200, flags: null });
  expect(await strict.ask([[9, 1]])).toMatchObject({
    status: 500,
    body: { error: 'Output "probabilities" is not finite in row 0; the answer is withheld.' },
  });
  expect(strict.bed.sink.rows[1]).toMatchObject({ flags: ['not_finite'], prediction: null });
  expect(strict.metrics()).toContain(flagged('a', 'not_finite', 1));
  expect(await strict.outcomes()).toMatchObject([{ requests: 2, errors: 1 }]);
});

test('inputs outside of the baseline that the version brings are marked; the configuration goes before it', async () => {
  const baseline = JSON.stringify({ inputs: { wind: { min: 0, max: 10 } } });
  await using open = await openBed({}, { baseline });
  expect(
    await open.ask([
      [3, 99],
      [11, 0],
    ]),
  ).toMatchObject({
    flags: 'anomalous_input',
    body: { parameters: { anomalous_input: 'wind: row 1' } },
  });
  await using configured = await openBed({ inputs: { wind: { max: 20 } } }, { baseline });
  expect(await configured.ask([[11, 0]])).toMatchObject({ flags: null });
  const wrong = JSON.stringify({ inputs: { wind: { least: 0 } } });
  await expect(openBed({}, { baseline: wrong })).rejects.toThrow(
    'keelson-baseline.json says of "wind" what is not of the form { min, max, values, missing }.',
  );
});

test('what a shadow answers is looked at as well', async () => {
  await using open = await openBed({ ranges: { probabilities: { max: 0.999 } } }, { shadow: true });
  expect(await open.ask([[1, 1]])).toMatchObject({ flags: null });
  await open.settled();
  expect(open.bed.sink.rows.find(({ role }) => role === 'shadow')?.flags).toEqual(['out_of_range']);
  expect(open.metrics()).toContain(flagged('b', 'out_of_range', 1));
});
