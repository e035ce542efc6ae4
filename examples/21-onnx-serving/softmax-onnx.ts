/** A linear classifier: `weights` by feature and class, `bias` by class. */
export interface LinearClassifier {
  readonly weights: readonly (readonly number[])[];
  readonly bias: readonly number[];
}

/**
 * The classifier as an ONNX file, with input `x` (FP32, `[rows, features]`) and output `probabilities`
 * (FP32, `[rows, classes]`): what exporters such as skl2onnx write, by hand.
 */
export function softmaxOnnx({ weights, bias }: LinearClassifier): Uint8Array {
  const [features, classes] = [weights.length, bias.length];
  const graph = Buffer.concat([
    node(['x', 'weights'], 'MatMul', 'products'),
    node(['products', 'bias'], 'Add', 'scores'),
    node(['scores'], 'Softmax', 'probabilities'),
    field(2, 'softmax'),
    initializer('weights', [features, classes], weights.flat()),
    initializer('bias', [classes], bias),
    field(11, floats('x', features)),
    field(12, floats('probabilities', classes)),
  ]);
  const opset = field(2, 13);
  return Buffer.concat([field(1, 7), field(2, 'softmax-onnx'), field(7, graph), field(8, opset)]);
}

function node(inputs: readonly string[], operator: string, output: string): Buffer {
  const names = inputs.map((name) => field(1, name));
  return field(1, Buffer.concat([...names, field(2, output), field(4, operator)]));
}

function initializer(name: string, shape: readonly number[], values: readonly number[]): Buffer {
  const float32 = 1;
  const bytes = new Uint8Array(Float32Array.from(values).buffer);
  const sizes = shape.map((size) => field(1, size));
  return field(5, Buffer.concat([...sizes, field(2, float32), field(8, name), field(9, bytes)]));
}

/** A matrix of 32-bit floats with any number of rows. */
function floats(name: string, columns: number): Buffer {
  const shape = Buffer.concat([field(1, field(2, 'rows')), field(1, field(1, columns))]);
  return Buffer.concat([
    field(1, name),
    field(2, field(1, Buffer.concat([field(1, 1), field(2, shape)]))),
  ]);
}

/** A field of protobuf: an integer, or a text, bytes or a message with its length. */
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
