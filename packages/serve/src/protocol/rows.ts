import type { Json, Tensor, TensorData, TensorSpec } from '@keelson/core';

/** Gives the rows of a request's tensors as plain objects, by column names. */
export type RowReader = (tensors: readonly Tensor[], rowCount: number) => Record<string, Json>[];

type ColumnReader = (tensor: Tensor, row: number) => Json;

interface Column {
  readonly key: string;
  readonly place: number;
  readonly read: ColumnReader;
}

/**
 * Compiles the reader of rows for specs (tensors come in the same order). A tensor with `columns` gives a value
 * under each column's name, another one its row under its own name: a single value, or a list. Texts stay texts,
 * bytes that are none become `{ b64 }`, 64-bit integers that are not safe become digits, booleans true and false.
 */
export function compileRows(specs: readonly TensorSpec[]): RowReader {
  const columns = specs.flatMap(columnsOf);
  // An assignment to this name would set the prototype instead.
  const plain = columns.every(({ key }) => key !== '__proto__');
  return (tensors, rowCount) => {
    const rows: Record<string, Json>[] = new Array(rowCount);
    for (let row = 0; row < rowCount; row += 1) {
      const out: Record<string, Json> = {};
      for (const column of columns) {
        const value = column.read(tensors[column.place] as Tensor, row);
        if (plain) out[column.key] = value;
        else
          Object.defineProperty(out, column.key, { value, enumerable: true, configurable: true });
      }
      rows[row] = out;
    }
    return rows;
  };
}

function columnsOf(spec: TensorSpec, place: number): Column[] {
  if (spec.columns !== undefined && spec.shape.length === 2) {
    const width = spec.columns.length;
    return spec.columns.map((key, i) => ({
      key,
      place,
      read: ({ data, datatype }, row) => elementAt(data, row * width + i, datatype),
    }));
  }
  return [{ key: spec.name, place, read: readWholeRow }];
}

function readWholeRow(tensor: Tensor, row: number): Json {
  const { data, shape, datatype } = tensor;
  let size = 1;
  for (let d = 1; d < shape.length; d += 1) size *= shape[d] as number;
  if (shape.length <= 1 || size === 1) return elementAt(data, row * size, datatype);
  const row0 = row * size;
  const values: Json[] = [];
  for (let i = 0; i < size; i += 1) values.push(elementAt(data, row0 + i, datatype));
  return values;
}

function elementAt(data: TensorData, index: number, datatype: Tensor['datatype']): Json {
  const value = data[index];
  if (typeof value === 'number') return datatype === 'BOOL' ? value !== 0 : value;
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value.toString();
  }
  return value === undefined ? null : textOf(value);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(value: string | Uint8Array): Json {
  let text: string;
  if (typeof value === 'string') text = value;
  else {
    try {
      text = utf8.decode(value);
    } catch (error) {
      if (error instanceof TypeError) return { b64: Buffer.from(value).toString('base64') };
      throw error;
    }
  }
  // No store can keep U+0000.
  return text.includes('\u0000') ? { b64: Buffer.from(text).toString('base64') } : text;
}
