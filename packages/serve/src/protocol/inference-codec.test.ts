import type { Datatype, ModelSignature, Tensor, TensorData } from '@keelson/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { datatypeFacts, datatypes, elementCount, numericArray } from './datatypes.ts';
import { type EncodedAnswer, encodeInferAnswer } from './infer-answer.ts';
import { decodeInferRequest, type InferRequest } from './infer-request.ts';
import { hasJsonForm } from './json-tensors.ts';
import { decodePredictRequest, encodePredictAnswer } from './predict-v1.ts';
import { rawInferRequest } from './raw-request.ts';

const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 4 });

/** Every value that a datatype can hold, the awkward ones among them. */
function elements(datatype: Datatype): fc.Arbitrary<unknown> {
  const { kind, min, max } = datatypeFacts(datatype);
  switch (kind) {
    case 'boolean':
      return fc.integer({ min: 0, max: 1 });
    case 'bigint':
      return fc.bigInt({ min: min as bigint, max: max as bigint });
    case 'float':
      return datatype === 'FP32' ? fc.float() : fc.double();
    case 'bytes':
      return fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.uint8Array({ maxLength: 8 }));
    default:
      return fc.integer({ min: min as number, max: max as number });
  }
}

const tensors: fc.Arbitrary<Tensor> = fc
  .record({
    datatype: fc.constantFrom(...datatypes),
    shape: shapes,
    name: fc.string({ minLength: 1 }),
  })
  .chain(({ datatype, shape, name }) => {
    const count = elementCount(shape);
    return fc
      .array(elements(datatype), { minLength: count, maxLength: count })
      .map((values) => ({ name, datatype, shape, data: dataOf(datatype, values) }));
  });

function dataOf(datatype: Datatype, values: readonly unknown[]): TensorData {
  if (datatype === 'BYTES') return values as string[];
  const data = numericArray(datatype, values.length);
  values.forEach((value, i) => {
    (data as unknown as unknown[])[i] = value;
  });
  return data;
}

/** Texts and their bytes are the same BYTES element. */
function comparable({ datatype, shape, data }: Tensor): unknown {
  return {
    datatype,
    shape,
    data: Array.from(data as ArrayLike<unknown>, (item) =>
      typeof item === 'string'
        ? Buffer.from(item).toString('hex')
        : item instanceof Uint8Array
          ? Buffer.from(item).toString('hex')
          : item,
    ),
  };
}

/** What a server would see of an answer, if it were a request: names of outputs become inputs. */
function asRequest(answer: EncodedAnswer): Uint8Array {
  const bytes = Buffer.from(answer.body as Uint8Array);
  const header = bytes.subarray(0, answer.headerLength);
  const rest = bytes.subarray(header.length);
  return Buffer.concat([
    Buffer.from(header.toString().replace('"outputs":[', '"inputs" :[')),
    rest,
  ]);
}

const answerOf = (outputs: readonly Tensor[], binaryOutputs: boolean) =>
  encodeInferAnswer({
    modelName: 'm',
    modelVersion: '1',
    id: 'an "id"',
    outputs,
    requested: undefined,
    binaryOutputs,
  });

describe('tensors survive', () => {
  test.each([true, false])('every datatype and shape, whole and in order, binary: %s', (binary) => {
    fc.assert(
      fc.property(fc.array(tensors, { minLength: 1, maxLength: 3 }), (given) => {
        const answer = answerOf(given, binary);
        const request = decodeInferRequest(asRequest(answer), answer.headerLength);
        expect(request.inputs.map(comparable)).toEqual(given.map(comparable));
        expect(request.inputs.map(({ name }) => name)).toEqual(given.map(({ name }) => name));
        expect(request.id).toBe('an "id"');
        const isBinary = binary || !given.every(hasJsonForm);
        expect(answer.headerLength !== undefined).toBe(isBinary);
      }),
      { numRuns: 300 },
    );
  });

  test('nested data as well as flat', () => {
    fc.assert(
      fc.property(tensors, (given) => {
        // JSON.stringify cannot write −0 and 64-bit integers; flat data, above, have both.
        const isPlain = !['INT64', 'UINT64'].includes(given.datatype) && hasJsonForm(given);
        fc.pre(
          isPlain && !Array.from(given.data as ArrayLike<unknown>).some((x) => Object.is(x, -0)),
        );
        const flat = JSON.parse(answerOf([given], false).body as string);
        const [output] = flat.outputs;
        const inputs = [{ ...output, data: nest(output.data, given.shape) }];
        const request = decodeInferRequest(Buffer.from(JSON.stringify({ inputs })));
        expect(request.inputs.map(comparable)).toEqual([comparable(given)]);
      }),
      { numRuns: 300 },
    );
  });

  test('64-bit integers beyond 2^53, from their own digits', () => {
    for (const [datatype, digits] of [
      ['INT64', '9007199254740993'],
      ['INT64', '-9223372036854775808'],
      ['UINT64', '18446744073709551615'],
    ] as const) {
      const body = `{"inputs":[{"name":"x","shape":[2],"datatype":"${datatype}","data":[1,${digits}]}]}`;
      expect(decodeInferRequest(Buffer.from(body)).inputs[0]?.data[1]).toBe(BigInt(digits));
    }
  });

  test('floats given as long integers, beside 64-bit integers', () => {
    const body =
      '{"inputs":[{"name":"x","shape":[1],"datatype":"FP64","data":[36893488147419103232]},' +
      '{"name":"y","shape":[1],"datatype":"FP64","data":[18014398509481984]},' +
      '{"name":"i","shape":[1],"datatype":"INT64","data":[9007199254740993]}]}';
    const { inputs } = decodeInferRequest(Buffer.from(body));
    expect(inputs.map(({ data }) => data[0])).toEqual([2 ** 65, 2 ** 54, 9007199254740993n]);
  });
});

function nest(flat: readonly unknown[], shape: readonly number[]): unknown {
  if (shape.length <= 1) return flat;
  const [size = 0, ...rest] = shape;
  const step = elementCount(rest);
  return Array.from({ length: size }, (_, i) => nest(flat.slice(i * step, (i + 1) * step), rest));
}

describe('numbers are refused by name, never rounded:', () => {
  const refused: readonly (readonly [datatype: string, literal: string])[] = [
    ['INT64', '9223372036854775808'],
    ['INT64', '9007199254740993.5'],
    ['INT64', '1e300'],
    ['INT64', '1.5'],
    ['INT64', '123456789012345678901234567890'],
    ['UINT64', '-1'],
    ['INT8', '128'],
    ['UINT8', '-1'],
    ['UINT8', '1.5'],
    ['UINT32', '4294967296'],
    ['FP32', '1e39'],
    ['FP64', '1e999'],
    ['FP64', 'null'],
    ['FP64', '"nan"'],
    ['FP64', 'true'],
    ['BOOL', '1'],
    ['BYTES', '5'],
    ['BYTES', '"\\ud800"'],
  ];
  test.each(refused)('%s %s', (datatype, literal) => {
    const body = `{"inputs":[{"name":"x","shape":[2],"datatype":"${datatype}","data":[${literal},${literal}]}]}`;
    expect(() => decodeInferRequest(Buffer.from(body))).toThrow(
      /^inputs\[0\]\.data\[0\]: expected /,
    );
  });

  test("bare NaN and Infinity, as Python's clients write them, are the numbers; in texts they stay texts", () => {
    const body = (datatype: string, data: string): Buffer =>
      Buffer.from(
        `{"inputs":[{"name":"NaN \\"Infinity","shape":[4],"datatype":"${datatype}","data":${data}}]}`,
      );
    const floats = decodeInferRequest(body('FP64', '[NaN, -Infinity,Infinity,9007199254740993]'));
    expect(floats.inputs[0]?.name).toBe('NaN "Infinity');
    expect(Array.from(floats.inputs[0]?.data as ArrayLike<unknown>)).toEqual([
      Number.NaN,
      Number.NEGATIVE_INFINITY,
      Number.POSITIVE_INFINITY,
      9007199254740992,
    ]);
    const integers = body('INT64', '[1,NaN,9007199254740993,2]');
    expect(() => decodeInferRequest(integers)).toThrow(
      /^inputs\[0\]\.data\[1\]: expected an integer/,
    );
    for (const broken of ['[NaNs]', '[Infinity', '[+NaN]', '[1 NaN]']) {
      expect(() => decodeInferRequest(body('FP64', broken))).toThrow(/^body: expected JSON/);
    }
  });

  test('parameters', () => {
    const body = '{"parameters":{"n":9007199254740993},"inputs":[]}';
    expect(() => decodeInferRequest(Buffer.from(body))).toThrow(
      /^parameters\.n: expected .* safe number/,
    );
  });
});

describe('answers', () => {
  const outputs: readonly Tensor[] = [
    {
      name: 'a',
      datatype: 'FP64',
      shape: [4],
      data: new Float64Array([Number.NaN, Number.POSITIVE_INFINITY, -0, 0.1]),
    },
    { name: 'b', datatype: 'FP16', shape: [1], data: new Uint16Array([15360]) },
  ];
  const base = { modelName: 'm', modelVersion: '1', id: undefined, outputs, binaryOutputs: false };

  test('hold what was asked for, in that order, and say what cannot be JSON in binary', () => {
    const requested = [
      { name: 'b', binary: false },
      { name: 'a', binary: undefined },
    ];
    const { body, headerLength } = encodeInferAnswer({ ...base, requested });
    const bytes = Buffer.from(body as Uint8Array);
    expect(bytes.subarray(0, headerLength).toString()).toBe(
      '{"model_name":"m","model_version":"1","outputs":[' +
        '{"name":"b","shape":[1],"datatype":"FP16","parameters":{"binary_data_size":2}},' +
        '{"name":"a","shape":[4],"datatype":"FP64","data":["NaN","Infinity",-0.0,0.1]}]}',
    );
    expect([...bytes.subarray(headerLength)]).toEqual([0, 0x3c]);
  });

  test('a request for what the model does not have is refused, naming what it has', () => {
    expect(() =>
      encodeInferAnswer({ ...base, requested: [{ name: 'c', binary: undefined }] }),
    ).toThrow(/outputs\[0\]\.name: expected one of "a", "b", not "c"/);
  });
});

describe('predict', () => {
  const signature: ModelSignature = {
    inputs: [{ name: 'b', datatype: 'BYTES', shape: [-1] }],
    outputs: [
      { name: 'n', datatype: 'INT64', shape: [-1] },
      { name: 'x', datatype: 'FP64', shape: [-1, 2] },
      { name: 't', datatype: 'BYTES', shape: [-1] },
    ],
  };
  const decode = (body: unknown): readonly Tensor[] =>
    decodePredictRequest(Buffer.from(JSON.stringify(body)), signature).inputs;

  test('bytes go in and out as base64, all numbers are exact', () => {
    const [b] = decode({ instances: ['é', { b64: 'gP8=' }, { b64: '' }] });
    expect(b?.data).toEqual(['é', new Uint8Array([0x80, 0xff]), new Uint8Array()]);
    const outputs: readonly Tensor[] = [
      { name: 'n', datatype: 'INT64', shape: [2], data: new BigInt64Array([2n ** 62n + 1n, -1n]) },
      { name: 'x', datatype: 'FP64', shape: [2, 2], data: new Float64Array([-0, NaN, 1, 0.1]) },
      { name: 't', datatype: 'BYTES', shape: [2], data: [new Uint8Array([0x80]), 'a"'] },
    ];
    const answer = (form: 'instances' | 'inputs'): string =>
      encodePredictAnswer({ ...noRequest, form }, signature, outputs);
    expect(answer('instances')).toBe(
      '{"predictions":[{"n":4611686018427387905,"x":[-0.0,"NaN"],"t":{"b64":"gA=="}},{"n":-1,"x":[1,0.1],"t":"a\\""}]}',
    );
    expect(answer('inputs')).toBe(
      '{"outputs":{"n":[4611686018427387905,-1],"x":[[-0.0,"NaN"],[1,0.1]],"t":[{"b64":"gA=="},"a\\""]}}',
    );
    const only = { ...signature, outputs: signature.outputs.slice(0, 1) };
    expect(
      encodePredictAnswer({ ...noRequest, form: 'instances' }, only, outputs.slice(0, 1)),
    ).toBe('{"predictions":[4611686018427387905,-1]}');
  });

  test.each([{ b64: 'é' }, { b64: 'a' }, { b64: 5 }, {}])(
    '%j is no element of BYTES',
    (element) => {
      expect(() => decode({ inputs: [element] })).toThrow(/element 0.*: expected .*b64/);
    },
  );

  test('what has no JSON form is sent to where it has one', () => {
    const half: ModelSignature = {
      ...signature,
      outputs: [{ name: 'h', datatype: 'FP16', shape: [-1] }],
    };
    expect(() => decodePredictRequest(Buffer.from('{"instances":["a"]}'), half)).toThrow(
      /binary tensors, because FP16 of "h" has no JSON form/,
    );
  });
});

const noRequest: InferRequest = {
  id: undefined,
  parameters: {},
  inputs: [],
  outputs: undefined,
  binaryOutputs: false,
};

describe('a body that is the data of the only input', () => {
  const signature = (...inputs: ModelSignature['inputs']): ModelSignature => ({
    ...{ inputs, outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }] },
  });
  const read = (bytes: Uint8Array, ...inputs: ModelSignature['inputs']) =>
    rawInferRequest(bytes, signature(...inputs)).inputs[0];

  test.each<[ModelSignature['inputs'][number], Uint8Array, readonly number[], unknown]>([
    [{ name: 'x', datatype: 'FP32', shape: [-1] }, new Uint8Array(12), [3], new Float32Array(3)],
    [
      { name: 'x', datatype: 'BOOL', shape: [2, -1] },
      Buffer.from([1, 0]),
      [2, 1],
      new Uint8Array([1, 0]),
    ],
    [
      { name: 'x', datatype: 'FP16', shape: [1, 2] },
      Buffer.from([0, 0x3c, 0, 0]),
      [1, 2],
      new Uint16Array([0x3c00, 0]),
    ],
    [
      { name: 'x', datatype: 'BYTES', shape: [-1, 1] },
      Buffer.from('a text'),
      [1, 1],
      [new Uint8Array(Buffer.from('a text'))],
    ],
    [{ name: 'x', datatype: 'BYTES', shape: [-1] }, Buffer.of(), [1], [new Uint8Array()]],
  ])('has its one free size by its length: %j', (input, bytes, shape, data) => {
    expect(read(bytes, input)).toEqual({ name: 'x', datatype: input.datatype, shape, data });
  });

  const x = { name: 'x', datatype: 'FP32', shape: [-1, 2] } as const;
  test.each<[string, ModelSignature['inputs'], number, RegExp]>([
    ['two inputs', [x, { ...x, name: 'z' }], 8, /0 needs a model with one input, not "x", "z"/],
    ['none', [], 8, /0 needs a model with one input, not none/],
    [
      'two free sizes',
      [{ ...x, shape: [-1, -1] }],
      8,
      /an input with one free size, not "x" of shape \[-1,-1\]/,
    ],
    [
      'any number of sizes',
      [{ ...x, shape: [], unranked: true }],
      8,
      /an input with one free size/,
    ],
    [
      'half a row',
      [x],
      12,
      /^body: expected a multiple of 8 bytes for FP32 "x" of shape \[-1,2\], not 12/,
    ],
    ['no row', [x], 0, /a multiple of 8 bytes/],
    ['another size than the only one', [{ ...x, shape: [1, 2] }], 16, /expected 8 bytes for FP32/],
    ['several texts', [{ ...x, datatype: 'BYTES' }], 8, /an input of one BYTES element, not "x"/],
  ])('is refused for %s', (_, inputs, size, message) => {
    expect(() => read(new Uint8Array(size), ...inputs)).toThrow(
      expect.objectContaining({ code: 'INVALID', message: expect.stringMatching(message) }),
    );
  });
});
