import { damaged, refused } from './model-fault.ts';
import { onnxElement, readValueInfo } from './onnx-type.ts';
import { integerOf, type ProtobufField, type ProtobufFile } from './protobuf.ts';
import type { TypedValue } from './typed-value.ts';

/** A file beside the model in which tensors of it lie. */
export interface ExternalData {
  /** As the model names it, relative to its own directory. */
  readonly location: string;
  /** How far into the file the tensors reach, where the model says so. */
  readonly reachBytes: number;
}

/** What a graph says of itself. */
export interface OnnxGraph {
  name: string;
  readonly inputs: TypedValue[];
  readonly outputs: TypedValue[];
  nodes: number;
  /** Names of all constants: an input of such a name need not be given. */
  readonly initializers: Set<string>;
  nameLength: number;
  /** Constants by their element types. */
  readonly constants: Map<string, number>;
  readonly external: Map<string, ExternalData>;
  quantizationAnnotations: number;
}

/** Of the names of constants together; beyond it a graph is none that could be served. */
const maxNamesLength = 64_000_000;
const maxValues = 10_000;
const maxExternalFiles = 10_000;

/** A graph without anything in it. */
export function emptyGraph(): OnnxGraph {
  return {
    name: '',
    inputs: [],
    outputs: [],
    nodes: 0,
    initializers: new Set(),
    nameLength: 0,
    constants: new Map(),
    external: new Map(),
    quantizationAnnotations: 0,
  };
}

/** Adds what a GraphProto says to `graph`; nodes and the data of constants are skipped. */
export async function readGraph(
  file: ProtobufFile,
  span: ProtobufField,
  graph: OnnxGraph,
): Promise<void> {
  const { path } = file.window;
  if (span.wire !== 2) throw damaged(path, `has no graph where one should be, at ${span.start}`);
  for await (const field of file.fields(span.start, span.end)) {
    if (field.number === 1) graph.nodes += 1;
    else if (field.number === 2) graph.name = await file.text(field);
    else if (field.number === 5) await readConstant(file, field, graph);
    else if (field.number === 15) await readSparseConstant(file, field, graph);
    else if (field.number === 11) await readValue(file, field, graph.inputs);
    else if (field.number === 12) await readValue(file, field, graph.outputs);
    else if (field.number === 14) graph.quantizationAnnotations += 1;
  }
}

async function readValue(
  file: ProtobufFile,
  field: ProtobufField,
  into: TypedValue[],
): Promise<void> {
  const { path } = file.window;
  if (into.length === maxValues)
    throw refused(path, `has more than ${maxValues} inputs or outputs`);
  into.push(readValueInfo(await file.message(field), path));
}

/** TensorProto: its name, its element type, and where its data lie if not here. */
async function readConstant(
  file: ProtobufFile,
  span: ProtobufField,
  graph: OnnxGraph,
): Promise<void> {
  const { path } = file.window;
  if (span.wire !== 2) throw damaged(path, `has no tensor where one should be, at ${span.start}`);
  const place = new Map<string, string>();
  let element = 0;
  let outside = false;
  for await (const field of file.fields(span.start, span.end)) {
    if (field.number === 2) element = integerOf(field, path);
    else if (field.number === 8) addName(graph, await file.text(field), path);
    else if (field.number === 14) outside = integerOf(field, path) === 1;
    else if (field.number === 13) {
      const [key, value] = await readEntry(file, field);
      place.set(key, value);
    }
  }
  const type = onnxElement(element);
  graph.constants.set(type, (graph.constants.get(type) ?? 0) + 1);
  if (outside) addExternal(graph, place, path);
}

/** SparseTensorProto, whose values carry the name. */
async function readSparseConstant(
  file: ProtobufFile,
  span: ProtobufField,
  graph: OnnxGraph,
): Promise<void> {
  if (span.wire !== 2)
    throw damaged(file.window.path, `has no tensor where one should be, at ${span.start}`);
  for await (const field of file.fields(span.start, span.end)) {
    if (field.number === 1) await readConstant(file, field, graph);
  }
}

function addName(graph: OnnxGraph, name: string, path: string): void {
  graph.initializers.add(name);
  graph.nameLength += name.length + 16;
  if (graph.nameLength > maxNamesLength) throw refused(path, 'has too many constants');
}

function addExternal(graph: OnnxGraph, place: ReadonlyMap<string, string>, path: string): void {
  const location = place.get('location') ?? '';
  const offset = sizeOf(place.get('offset'), path);
  const length = sizeOf(place.get('length'), path);
  const before = graph.external.get(location);
  if (before === undefined && graph.external.size === maxExternalFiles)
    throw refused(path, `names more than ${maxExternalFiles} files of external data`);
  const reachBytes = Math.max(before?.reachBytes ?? 0, offset + length);
  graph.external.set(location, { location, reachBytes });
}

function sizeOf(text: string | undefined, path: string): number {
  const size = text === undefined || text === '' ? 0 : Number(text);
  if (Number.isSafeInteger(size) && size >= 0) return size;
  throw damaged(path, 'places external data at what is no number of bytes');
}

/** A StringStringEntryProto. */
export async function readEntry(
  file: ProtobufFile,
  span: ProtobufField,
): Promise<readonly [key: string, value: string]> {
  const entry = await file.message(span, 1 << 20);
  let key = '';
  let value = '';
  for (const field of entry.fields()) {
    if (field.number === 1) key = entry.text(field);
    if (field.number === 2) value = entry.text(field);
  }
  return [key, value];
}
