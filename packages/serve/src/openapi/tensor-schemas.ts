import type { Datatype, ModelSignature, TensorSpec } from '@keelson/core';
import { datatypeFacts } from '../protocol/datatypes.ts';

/** A JSON Schema of draft 2020-12, which is what OpenAPI 3.1 has. */
export type Schema = Readonly<Record<string, unknown>>;

/** One element of a datatype in JSON. FP16 and BF16 have no JSON form: nothing fits. */
function elementSchema(datatype: Datatype): Schema {
  const { kind, min, max } = datatypeFacts(datatype);
  switch (kind) {
    case 'boolean':
      return { type: 'boolean' };
    case 'integer':
      return { type: 'integer', minimum: min, maximum: max };
    case 'bigint':
      // Bounds beyond 2^53 would be rounded by whoever reads them.
      return datatype === 'UINT64'
        ? { type: 'integer', format: 'uint64', minimum: 0 }
        : { type: 'integer', format: 'int64' };
    case 'float':
      return {
        anyOf: [
          { type: 'number', format: datatype === 'FP32' ? 'float' : 'double' },
          { enum: ['NaN', 'Infinity', '-Infinity'] },
        ],
      };
    case 'bytes':
      return { type: 'string' };
    case 'half':
      return { not: {} };
  }
}

/** Nested lists of a shape; −1 is any length. */
function nestedSchema(element: Schema, shape: readonly number[]): Schema {
  return shape.reduceRight<Schema>((items, size) => {
    const length = size === -1 ? {} : { minItems: size, maxItems: size };
    return { type: 'array', items, ...length };
  }, element);
}

/** A tensor of a request or an answer of the Open Inference Protocol. */
export function tensorSchema(spec: TensorSpec): Schema {
  const { name, datatype } = spec;
  const hasJson = datatypeFacts(datatype).kind !== 'half';
  return {
    type: 'object',
    description: describeTensor(spec),
    required: ['name', 'shape', 'datatype'],
    properties: {
      name: { const: name },
      shape: shapeSchema(spec),
      datatype: { const: datatype },
      parameters: { $ref: '#/components/schemas/TensorParameters' },
      ...(hasJson ? { data: dataSchema(spec) } : {}),
    },
    // The data is in the JSON, or behind it.
    ...(hasJson
      ? { anyOf: [{ required: ['data'] }, binaryTensor] }
      : { ...binaryTensor, required: ['name', 'shape', 'datatype', 'parameters'] }),
  };
}

const binaryTensor = {
  required: ['parameters'],
  properties: { parameters: { type: 'object', required: ['binary_data_size'] } },
};

function dataSchema({ datatype, shape, unranked }: TensorSpec): Schema {
  const element = elementSchema(datatype);
  if (unranked === true)
    return { type: 'array', description: 'Flat, or nested as the shape says.' };
  const count = shape.includes(-1) ? undefined : shape.reduce((product, size) => product * size, 1);
  const length = count === undefined ? {} : { minItems: count, maxItems: count };
  const flat = { type: 'array', items: element, ...length };
  return shape.length < 2 ? flat : { anyOf: [nestedSchema(element, shape), flat] };
}

function shapeSchema({ shape, unranked }: TensorSpec): Schema {
  const size = { type: 'integer', minimum: 0 };
  if (unranked === true) return { type: 'array', items: size };
  const length = { minItems: shape.length, maxItems: shape.length };
  if (shape.length === 0) return { type: 'array', ...length };
  return {
    type: 'array',
    prefixItems: shape.map((fixed) => (fixed === -1 ? size : { const: fixed })),
    ...length,
  };
}

function describeTensor({ datatype, shape, unranked, columns }: TensorSpec): string {
  const form = unranked === true ? 'any shape' : `shape [${shape.join(', ')}]`;
  const free = shape.includes(-1) ? ' (−1 is any size)' : '';
  const table = columns === undefined ? '' : `; its columns are ${columns.join(', ')}`;
  return `${datatype}, ${form}${free}${table}`;
}

/** Whether predict requests of TensorFlow Serving's protocol can carry the inputs and outputs. */
export function fitsPredict({ inputs, outputs }: ModelSignature): boolean {
  const isHalf = ({ datatype }: TensorSpec): boolean => datatypeFacts(datatype).kind === 'half';
  const isList = ({ shape, unranked }: TensorSpec): boolean =>
    unranked !== true && shape.length > 0;
  return ![...inputs, ...outputs].some(isHalf) && inputs.every(isList);
}

/** One row (`instances`) of a signature's inputs: a value, or an object by input and column names. */
export function instanceSchema(inputs: readonly TensorSpec[]): Schema {
  const row = (spec: TensorSpec): Schema =>
    nestedSchema(valueSchema(spec.datatype), spec.shape.slice(1));
  const [only] = inputs;
  const forms: Schema[] = [byName(inputs, row)];
  if (inputs.every(isTable)) {
    const columns = inputs.flatMap(({ columns = [], datatype }) =>
      columns.map((name) => [name, valueSchema(datatype)] as const),
    );
    forms.unshift({
      type: 'object',
      required: columns.map(([name]) => name),
      properties: Object.fromEntries(columns),
    });
  }
  if (only !== undefined && inputs.length === 1) forms.push(row(only));
  return { anyOf: forms };
}

/** The whole inputs (`inputs`), by name or as the only one. */
export function columnarSchema(inputs: readonly TensorSpec[]): Schema {
  const whole = (spec: TensorSpec): Schema => nestedSchema(valueSchema(spec.datatype), spec.shape);
  const [only] = inputs;
  const named = byName(inputs, whole);
  return only !== undefined && inputs.length === 1 ? { anyOf: [named, whole(only)] } : named;
}

/** Whether the rows of an input can be given by the names of its columns. */
export function isTable({ columns, shape }: TensorSpec): boolean {
  return columns !== undefined && shape.length === 2;
}

function byName(specs: readonly TensorSpec[], of: (spec: TensorSpec) => Schema): Schema {
  return {
    type: 'object',
    required: specs.map(({ name }) => name),
    properties: Object.fromEntries(specs.map((spec) => [spec.name, of(spec)])),
  };
}

/** As {@link elementSchema}; bytes that are no text are an object with their base64. */
function valueSchema(datatype: Datatype): Schema {
  const element = elementSchema(datatype);
  if (datatype !== 'BYTES') return element;
  const base64 = { type: 'string', contentEncoding: 'base64' };
  return { anyOf: [element, { type: 'object', required: ['b64'], properties: { b64: base64 } }] };
}
