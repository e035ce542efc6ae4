import type { ColumnSpec, ModelSignature, ValueSpec } from '../../contracts/model-runtime.ts';
import type { Json, JsonObject } from '../../json.ts';
import { damaged, refused } from './model-fault.ts';
import { numpyDatatype } from './numpy-type.ts';
import { objectIn, parseJson, textIn } from './text-file.ts';
import { type TensorSide, type TypedValue, tensorsAmong } from './typed-value.ts';

/** What the signature in an MLmodel file says. */
export interface MlflowSignature {
  readonly signature?: ModelSignature;
  readonly params?: Json;
  readonly notes: readonly string[];
}

const maxColumns = 20_000;

/**
 * MLflow's signature: inputs and outputs, each a JSON text of columns or of tensors. Params are not inputs and
 * are given as they are.
 */
export function readMlflowSignature(value: Json | undefined, path: string): MlflowSignature {
  const given = objectIn(value);
  const inputs = readSide(given['inputs'], 'inputs', path);
  const outputs = readSide(given['outputs'], 'outputs', path);
  const params = given['params'] ?? null;
  const rest = params === null ? {} : { params: parsed(params, 'the params', path) };
  if (inputs === undefined)
    return { ...rest, notes: [`${path} does not say what the model takes.`] };
  const notes = [...inputs.notes, ...(outputs?.notes ?? [])];
  if (outputs === undefined) notes.push(`${path} does not say what the model gives.`);
  if (!inputs.complete || outputs?.complete === false)
    return { ...rest, notes: [...notes, 'So there is no signature.'] };
  const signature: ModelSignature = {
    inputs: inputs.tensors,
    outputs: outputs?.tensors ?? [],
    ...(inputs.columns === undefined ? {} : { inputColumns: inputs.columns }),
    ...(outputs?.columns === undefined ? {} : { outputColumns: outputs.columns }),
  };
  return { ...rest, signature, notes };
}

interface Side extends TensorSide {
  readonly columns?: readonly ColumnSpec[];
}

function readSide(
  value: Json | undefined,
  side: 'inputs' | 'outputs',
  path: string,
): Side | undefined {
  if (value === undefined || value === null) return undefined;
  const list = parsed(value, `the ${side} of its signature`, path);
  if (!Array.isArray(list)) throw damaged(path, `has a signature whose ${side} are no list`);
  if (list.length > maxColumns)
    throw refused(
      path,
      `has a signature of ${list.length} ${side}; at most ${maxColumns} are taken`,
    );
  const entries = (list as readonly Json[]).map(objectIn);
  if (!entries.some((entry) => entry['type'] === 'tensor')) return readColumns(entries, side, path);
  return readTensors(entries, side, path);
}

function parsed(value: Json, what: string, path: string): Json {
  return typeof value === 'string' ? parseJson(value, path, what) : value;
}

function readTensors(
  entries: readonly JsonObject[],
  side: 'inputs' | 'outputs',
  path: string,
): Side {
  const unnamed = entries.some(({ name }) => textIn(name) === undefined);
  const tensors = entries.map((entry, i): TypedValue => {
    const spec = objectIn(entry['tensor-spec']);
    const { dtype, shape } = spec;
    if (typeof dtype !== 'string' || !isShape(shape))
      throw damaged(path, `has a tensor without dtype or shape among the ${side} of its signature`);
    const datatype = numpyDatatype(dtype);
    const name = textIn(entry['name']) ?? `${side.slice(0, -1)}-${i}`;
    return { name, type: dtype, shape, ...(datatype === undefined ? {} : { datatype }) };
  });
  const named = tensors.map(({ name }) => name).join(', ');
  const note = `MLmodel names no tensors among the ${side}; they are called ${named}, as MLServer calls them.`;
  const found = tensorsAmong(tensors, side === 'inputs' ? 'Input' : 'Output');
  return unnamed ? { ...found, notes: [note, ...found.notes] } : found;
}

function isShape(value: Json | undefined): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= -1);
}

/** MLflow's names of the types of columns. */
const columnTypes: Readonly<Record<string, ValueSpec>> = {
  boolean: { type: 'boolean', datatype: 'BOOL' },
  integer: { type: 'integer', datatype: 'INT32' },
  long: { type: 'integer', datatype: 'INT64' },
  float: { type: 'number', datatype: 'FP32' },
  double: { type: 'number', datatype: 'FP64' },
  string: { type: 'text', datatype: 'BYTES' },
  binary: { type: 'binary', datatype: 'BYTES' },
  datetime: { type: 'time' },
  any: { type: 'any' },
};

function readColumns(entries: readonly JsonObject[], side: string, path: string): Side {
  const unknown = new Set<string>();
  const columns = entries.map((entry) => readColumn(entry, unknown, path));
  const types = [...unknown].slice(0, 10).map((type) => JSON.stringify(type.slice(0, 60)));
  return {
    tensors: [],
    columns,
    complete: unknown.size === 0,
    notes:
      unknown.size === 0
        ? []
        : [
            `Columns among the ${side} have types of MLflow that are not known: ${types.join(', ')}.`,
          ],
  };
}

function readColumn(entry: JsonObject, unknown: Set<string>, path: string): ColumnSpec {
  const name = textIn(entry['name']);
  return {
    ...(name === undefined ? {} : { name }),
    ...readValue(entry, unknown, path),
    // Before MLflow 2.7, columns said `optional`.
    required: entry['required'] !== false && entry['optional'] !== true,
  };
}

function readValue(entry: JsonObject, unknown: Set<string>, path: string): ValueSpec {
  const type = entry['type'];
  if (typeof type !== 'string') throw damaged(path, 'has a column without a type in its signature');
  if (Object.hasOwn(columnTypes, type)) return columnTypes[type] as ValueSpec;
  switch (type) {
    case 'array':
      return { type: 'list', items: readValue(objectIn(entry['items']), unknown, path) };
    case 'map':
      return { type: 'map', items: readValue(objectIn(entry['values']), unknown, path) };
    case 'sparkml-vector':
      return { type: 'list', items: { type: 'number', datatype: 'FP64' } };
    case 'object': {
      const properties = Object.entries(objectIn(entry['properties']));
      return {
        type: 'object',
        fields: properties.map(([name, field]) =>
          readColumn({ ...objectIn(field), name }, unknown, path),
        ),
      };
    }
    default:
      unknown.add(type);
      return { type: 'any' };
  }
}
