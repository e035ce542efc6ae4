import type { RowColumn, RowColumns } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import {
  type PackedNumbers,
  type PackedTexts,
  type Part,
  packNumbers,
  packTexts,
  unpackNumbers,
  unpackTexts,
} from './packed-columns.ts';
import { seal, unseal } from './series-bytes.ts';

/** One column of the directory. */
type ColumnEntry =
  | (PackedNumbers & { readonly name: string; readonly type: 'number'; readonly missing?: Part })
  | (PackedTexts & { readonly name: string; readonly type: 'text' | 'json' });

/** Layout 1 had all numbers as doubles, and of texts always an index and lengths of four bytes. */
const version = 2;
const headerBytes = 16;
const what = 'a batch of rows';

/**
 * The bytes of a batch of rows, column by column, each in the fewest bytes of a few forms; equal texts of a column are stored
 * once.
 *
 * Layout (little endian): version, 0, 0, 0 (one byte each), crc32, rows, bytes of the directory (uint32
 * each); the directory as JSON; then the parts that it names, each at a multiple of 8.
 */
export function encodeRows(
  at: Float64Array,
  columns: Readonly<Record<string, RowColumn>>,
): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = 0;
  const put = (view: ArrayBufferView): Part => {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    const part: Part = [size, bytes.length];
    parts.push(bytes);
    size += padded(bytes.length);
    return part;
  };
  const times = packNumbers(at, put);
  const entries = Object.entries(columns).map(([name, column]) => encodeColumn(name, column, put));
  const directory = Buffer.from(JSON.stringify({ times, columns: entries }));
  const start = padded(headerBytes + directory.length);
  const out = new Uint8Array(start + size);
  const view = new DataView(out.buffer);
  out[0] = version;
  view.setUint32(8, at.length, true);
  view.setUint32(12, directory.length, true);
  out.set(directory, headerBytes);
  let place = start;
  for (const part of parts) {
    out.set(part, place);
    place += padded(part.length);
  }
  return seal(out);
}

/** The rows of a blob, with the columns named (all when left out). CORRUPT when it is damaged. */
export function decodeRows(stored: Uint8Array, names?: readonly string[]): RowColumns {
  const bytes = unseal(stored, version, what);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(8, true);
  const length = view.getUint32(12, true);
  const start = bytes.byteOffset + padded(headerBytes + length);
  const directory = readDirectory(bytes.subarray(headerBytes, headerBytes + length));
  const take = ([at, size]: Part): Uint8Array<ArrayBuffer> =>
    new Uint8Array(bytes.buffer, start + at, size);
  const wanted =
    names === undefined
      ? directory.columns
      : directory.columns.filter((entry) => names.includes(entry.name));
  return {
    at: unpackNumbers(directory.times ?? { values: directory.at }, count, take),
    columns: Object.fromEntries(
      wanted.map((entry) => [entry.name, decodeColumn(entry, count, take)]),
    ),
  };
}

/** The rows whose time is in [from, to): the same arrays when all are. */
export function cutRows(rows: RowColumns, from: number, to: number): RowColumns {
  return keepRows(rows, (i) => (rows.at[i] as number) >= from && (rows.at[i] as number) < to);
}

/** Those rows whose text column has none of the values. */
export function withoutRows(
  rows: RowColumns,
  column: string,
  values: ReadonlySet<string>,
): RowColumns {
  const found = Object.hasOwn(rows.columns, column) ? rows.columns[column] : undefined;
  if (found?.type !== 'text') return rows;
  return keepRows(rows, (i) => !values.has(found.values[i] as string));
}

function keepRows(rows: RowColumns, isKept: (index: number) => boolean): RowColumns {
  const keep: number[] = [];
  for (let i = 0; i < rows.at.length; i++) if (isKept(i)) keep.push(i);
  if (keep.length === rows.at.length) return rows;
  return {
    at: Float64Array.from(keep, (i) => rows.at[i] as number),
    columns: Object.fromEntries(
      Object.entries(rows.columns).map(([name, column]) => [name, cutColumn(column, keep)]),
    ),
  };
}

function cutColumn(column: RowColumn, keep: readonly number[]): RowColumn {
  if (column.type !== 'number') {
    return { type: column.type, values: keep.map((i) => column.values[i] ?? null) };
  }
  const values = Float64Array.from(keep, (i) => column.values[i] as number);
  const { missing } = column;
  if (missing === undefined) return { type: 'number', values };
  return { type: 'number', values, missing: Uint8Array.from(keep, (i) => missing[i] as number) };
}

function encodeColumn(
  name: string,
  column: RowColumn,
  put: (view: ArrayBufferView) => Part,
): ColumnEntry {
  if (column.type !== 'number')
    return { name, type: column.type, ...packTexts(column.values, put) };
  const { values, missing } = column;
  const packed = { name, type: column.type, ...packNumbers(values, put) };
  return missing === undefined ? packed : { ...packed, missing: put(missing) };
}

function decodeColumn(
  entry: ColumnEntry,
  count: number,
  take: (part: Part) => Uint8Array<ArrayBuffer>,
): RowColumn {
  if (entry.type !== 'number') return { type: entry.type, values: unpackTexts(entry, count, take) };
  const values = unpackNumbers(entry, count, take);
  const { missing } = entry;
  return { type: entry.type, values, ...(missing === undefined ? {} : { missing: take(missing) }) };
}

/** `at` is of layout 1. */
interface Directory {
  readonly times?: PackedNumbers;
  readonly at?: Part;
  readonly columns: readonly ColumnEntry[];
}

function readDirectory(bytes: Uint8Array): Directory {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch (cause) {
    throw new KeelsonError('CORRUPT', 'The directory of a stored batch of rows is damaged.', {
      cause,
    });
  }
}

function padded(length: number): number {
  return Math.ceil(length / 8) * 8;
}
