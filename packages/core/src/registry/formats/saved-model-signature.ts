import { damaged, refused } from './model-fault.ts';
import type { ProtobufMessage } from './protobuf.ts';
import { tensorflowType } from './tensorflow-type.ts';
import type { TypedValue } from './typed-value.ts';

/** One way to call a SavedModel. */
export interface SavedSignature {
  readonly key: string;
  readonly method: string;
  readonly inputs: readonly TypedValue[];
  readonly outputs: readonly TypedValue[];
}

const maxRank = 1024;
const maxValues = 10_000;

/** An entry of MetaGraphDef.signature_def: a key and a SignatureDef. */
export function readSignatureEntry(entry: ProtobufMessage, path: string): SavedSignature {
  let key = '';
  let signature: Omit<SavedSignature, 'key'> = { method: '', inputs: [], outputs: [] };
  for (const field of entry.fields()) {
    if (field.number === 1) key = entry.text(field);
    if (field.number === 2) signature = readSignature(entry.message(field), path);
  }
  return { key, ...signature };
}

function readSignature(message: ProtobufMessage, path: string): Omit<SavedSignature, 'key'> {
  const inputs = new Map<string, TypedValue>();
  const outputs = new Map<string, TypedValue>();
  let method = '';
  for (const field of message.fields()) {
    if (field.number === 3) method = message.text(field);
    const side = field.number === 1 ? inputs : field.number === 2 ? outputs : undefined;
    if (side === undefined) continue;
    const value = readEntry(message.message(field), path);
    if (value.name === '') throw damaged(path, 'has an input or output without a name');
    side.set(value.name, value);
    if (side.size > maxValues)
      throw refused(path, `has more than ${maxValues} inputs or outputs in one signature`);
  }
  return { method, inputs: sorted(inputs), outputs: sorted(outputs) };
}

/** Maps of protobuf have no order of their own. */
function sorted(values: ReadonlyMap<string, TypedValue>): readonly TypedValue[] {
  return [...values.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function readEntry(entry: ProtobufMessage, path: string): TypedValue {
  let name = '';
  let value: Omit<TypedValue, 'name'> = { type: 'undefined' };
  for (const field of entry.fields()) {
    if (field.number === 1) name = entry.text(field);
    if (field.number === 2) value = readTensorInfo(entry.message(field), path);
  }
  return { name, ...value };
}

function readTensorInfo(message: ProtobufMessage, path: string): Omit<TypedValue, 'name'> {
  let element = 0;
  let kind: 'sparse' | 'composite' | undefined;
  // Without a word on its shape, a tensor of TensorFlow is a scalar.
  let shape: (number | null)[] | undefined = [];
  for (const field of message.fields()) {
    if (field.number === 2) element = message.integer(field);
    else if (field.number === 3) shape = readShape(message.message(field), path);
    else if (field.number === 4) kind = 'sparse';
    else if (field.number === 5) kind = 'composite';
  }
  const { type, datatype } = tensorflowType(element);
  if (kind !== undefined) return { type: `${kind} ${type}` };
  return {
    type: element === 0 ? 'undefined' : type,
    ...(datatype === undefined ? {} : { datatype }),
    ...(shape === undefined ? {} : { shape }),
  };
}

function readShape(message: ProtobufMessage, path: string): (number | null)[] | undefined {
  const shape: (number | null)[] = [];
  let unknown = false;
  for (const field of message.fields()) {
    if (field.number === 3) unknown = message.integer(field) !== 0;
    if (field.number !== 2) continue;
    if (shape.length === maxRank) throw refused(path, `has a shape of more than ${maxRank} sizes`);
    const dimension = message.message(field);
    let size = 0;
    for (const part of dimension.fields()) {
      if (part.number === 1) size = dimension.integer(part);
    }
    shape.push(size < 0 ? null : size);
  }
  return unknown ? undefined : shape;
}
