import type { Datatype } from '../../contracts/model-runtime.ts';
import { refused } from './model-fault.ts';
import type { ProtobufMessage } from './protobuf.ts';
import type { TypedValue } from './typed-value.ts';

/** TensorProto.DataType of onnx.proto: the name that runtimes show, and the datatype where there is one. */
const elements: Readonly<Record<number, readonly [name: string, datatype?: Datatype]>> = {
  1: ['float', 'FP32'],
  2: ['uint8', 'UINT8'],
  3: ['int8', 'INT8'],
  4: ['uint16', 'UINT16'],
  5: ['int16', 'INT16'],
  6: ['int32', 'INT32'],
  7: ['int64', 'INT64'],
  8: ['string', 'BYTES'],
  9: ['bool', 'BOOL'],
  10: ['float16', 'FP16'],
  11: ['double', 'FP64'],
  12: ['uint32', 'UINT32'],
  13: ['uint64', 'UINT64'],
  14: ['complex64'],
  15: ['complex128'],
  16: ['bfloat16', 'BF16'],
  17: ['float8e4m3fn'],
  18: ['float8e4m3fnuz'],
  19: ['float8e5m2'],
  20: ['float8e5m2fnuz'],
  21: ['uint4'],
  22: ['int4'],
  23: ['float4e2m1'],
  24: ['float8e8m0'],
  25: ['uint2'],
  26: ['int2'],
};

/** The name of an element type, as runtimes write it; by its number where it is of a later time. */
export function onnxElement(type: number): string {
  return elements[type]?.[0] ?? (type === 0 ? 'undefined' : `element type ${type}`);
}

const maxDepth = 16;
const maxRank = 1024;

type OnnxType = Omit<TypedValue, 'name'>;

/** A ValueInfoProto: name, type and shape of an input or output. */
export function readValueInfo(message: ProtobufMessage, path: string): TypedValue {
  let name = '';
  let type: OnnxType | undefined;
  for (const field of message.fields()) {
    if (field.number === 1) name = message.text(field);
    if (field.number === 2) type = readType(message.message(field), path, 1);
  }
  return { name, ...(type ?? { type: 'undefined' }) };
}

function readType(message: ProtobufMessage, path: string, depth: number): OnnxType {
  if (depth > maxDepth) throw refused(path, `has a type within more than ${maxDepth} others`);
  let type: OnnxType = { type: 'undefined' };
  for (const field of message.fields()) {
    if (field.number === 1) type = readTensor(message.message(field), path, 'tensor');
    if (field.number === 8)
      type = { type: readTensor(message.message(field), path, 'sparse_tensor').type };
    if (field.number === 4)
      type = { type: `seq(${elementOf(message.message(field), path, depth).type})` };
    if (field.number === 5) type = readMap(message.message(field), path, depth);
    if (field.number === 7) type = { type: 'opaque' };
    if (field.number === 9) {
      const inner = elementOf(message.message(field), path, depth);
      type = { ...inner, type: `optional(${inner.type})`, optional: true };
    }
  }
  return type;
}

function readTensor(message: ProtobufMessage, path: string, word: string): OnnxType {
  let element = 0;
  let shape: (number | string | null)[] | undefined;
  for (const field of message.fields()) {
    if (field.number === 1) element = message.integer(field);
    if (field.number === 2) shape = readShape(message.message(field), path);
  }
  const datatype = elements[element]?.[1];
  return {
    type: `${word}(${onnxElement(element)})`,
    ...(datatype === undefined ? {} : { datatype }),
    ...(shape === undefined ? {} : { shape }),
  };
}

function readShape(message: ProtobufMessage, path: string): (number | string | null)[] {
  const shape: (number | string | null)[] = [];
  for (const dimension of message.fields()) {
    if (dimension.number !== 1) continue;
    if (shape.length === maxRank) throw refused(path, `has a shape of more than ${maxRank} sizes`);
    const size = message.message(dimension);
    let value: number | string | null = null;
    for (const field of size.fields()) {
      if (field.number === 1) value = Math.max(-1, size.integer(field));
      if (field.number === 2) value = size.text(field);
    }
    shape.push(value === '' || value === -1 ? null : value);
  }
  return shape;
}

/** The type that a sequence or an optional value is of. */
function elementOf(message: ProtobufMessage, path: string, depth: number): OnnxType {
  let type: OnnxType = { type: 'undefined' };
  for (const field of message.fields()) {
    if (field.number === 1) type = readType(message.message(field), path, depth + 1);
  }
  return type;
}

function readMap(message: ProtobufMessage, path: string, depth: number): OnnxType {
  let key = 0;
  let value = 'undefined';
  for (const field of message.fields()) {
    if (field.number === 1) key = message.integer(field);
    if (field.number === 2) value = readType(message.message(field), path, depth + 1).type;
  }
  return { type: `map(${onnxElement(key)},${value})` };
}
