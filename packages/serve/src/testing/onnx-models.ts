/** Element types by ONNX's own numbers. */
export const onnxTypes = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT32: 12,
  UINT64: 13,
  BF16: 16,
} as const;

/** A value of a graph; −1 is a free size. */
export interface OnnxValue {
  readonly name: string;
  readonly type: keyof typeof onnxTypes;
  readonly shape: readonly number[];
}

/** A node of a graph: its inputs, its operator, its outputs. */
export type OnnxNode = readonly [
  inputs: readonly string[],
  operator: string,
  outputs: readonly string[],
];

/** A graph, to be written by {@link onnxModel}. */
export interface OnnxGraph {
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly nodes: readonly OnnxNode[];
  readonly weights?: readonly (Omit<OnnxValue, 'type'> & { readonly data: Float32Array })[];
}

/** The bytes of an ONNX model: `ModelProto`, of opset 13. */
export function onnxModel({ inputs, outputs, nodes, weights = [] }: OnnxGraph): Buffer {
  const graph = Buffer.concat([
    ...nodes.map(([from, operator, to]) =>
      field(
        1,
        Buffer.concat([
          ...from.map((name) => field(1, name)),
          ...to.map((name) => field(2, name)),
          field(4, operator),
        ]),
      ),
    ),
    field(2, 'graph'),
    ...weights.map(({ name, shape, data }) =>
      field(
        5,
        Buffer.concat([
          ...shape.map((size) => field(1, size)),
          field(2, onnxTypes.FP32),
          field(8, name),
          field(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
        ]),
      ),
    ),
    ...inputs.map((value) => field(11, valueInfo(value))),
    ...outputs.map((value) => field(12, valueInfo(value))),
  ]);
  const opset = Buffer.concat([field(1, ''), field(2, 13)]);
  return Buffer.concat([field(1, 7), field(7, graph), field(8, opset)]);
}

function valueInfo({ name, type, shape }: OnnxValue): Buffer {
  const dimensions = shape.map((size) => field(1, size === -1 ? field(2, 'n') : field(1, size)));
  const tensor = Buffer.concat([field(1, onnxTypes[type]), field(2, Buffer.concat(dimensions))]);
  return Buffer.concat([field(1, name), field(2, field(1, tensor))]);
}

function field(number: number, value: number | string | Uint8Array): Buffer {
  if (typeof value === 'number') return Buffer.concat([varint(number * 8), varint(value)]);
  const bytes = Buffer.from(value as string);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}
