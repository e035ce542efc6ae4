import type { RowColumn, RowColumns } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import { damaged, seal, unseal } from './series-bytes.ts';

/** A part of a blob: where it begins, behind the directory, and how long it is. */
type Part = readonly [at: number, bytes: number];

/** One column of the directory. Texts: UTF-8 of all distinct texts, their lengths in UTF-16 units. */
interface ColumnEntry {
  readonly name: string;
  readonly type: RowColumn['type'];
  readonly missing?: Part;
  readonly values?: Part;
  readonly text?: Part;
  readonly lengths?: Part;
  /** For each row the number of its text, or the count of texts when it is missing. */
  readonly index?: Part;
}

const version = 1;
const headerBytes = 16;
const what = 'a batch of rows';

/**
 * The bytes of a batch of rows, column by column; equal texts of a column are stored once.
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
  const times = put(at);
  const entries = Object.entries(columns).map(([name, column]) => encodeColumn(name, column, put));
  const directory = Buffer.from(JSON.stringify({ at: times, columns: entries }));
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
    at: floats(take(directory.at), count),
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
  if (column.type === 'number') {
    const values = put(column.values);
    if (column.missing === undefined) return { name, type: 'number', values };
    return { name, type: 'number', values, missing: put(column.missing) };
  }
  const numbers = new Map<string, number>();
  const index = new Uint32Array(column.values.length);
  const missing: number[] = [];
  column.values.forEach((text, i) => {
    if (text === null) {
      missing.push(i);
      return;
    }
    let number = numbers.get(text);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(text, number);
    }
    index[i] = number;
  });
  for (const i of missing) index[i] = numbers.size;
  const texts = [...numbers.keys()];
  return {
    name,
    type: column.type,
    text: put(Buffer.from(texts.join(''))),
    lengths: put(Uint32Array.from(texts, (text) => text.length)),
    index: put(narrow(index, numbers.size)),
  };
}

function decodeColumn(
  entry: ColumnEntry,
  count: number,
  take: (part: Part) => Uint8Array<ArrayBuffer>,
): RowColumn {
  if (entry.type === 'number') {
    if (entry.values === undefined) throw damaged(what);
    const values = floats(take(entry.values), count);
    if (entry.missing === undefined) return { type: 'number', values };
    return { type: 'number', values, missing: take(entry.missing) };
  }
  if (!entry.text || !entry.lengths || !entry.index) throw damaged(what);
  const whole = Buffer.from(take(entry.text)).toString();
  const lengthBytes = take(entry.lengths);
  const lengths = new Uint32Array(
    lengthBytes.buffer,
    lengthBytes.byteOffset,
    lengthBytes.length / 4,
  );
  const texts: string[] = [];
  let at = 0;
  for (const length of lengths) {
    texts.push(whole.slice(at, at + length));
    at += length;
  }
  const index = widen(take(entry.index), count);
  return { type: entry.type, values: Array.from(index, (number) => texts[number] ?? null) };
}

// One byte a row up to 255 texts, two up to 65,535, four beyond: told apart by the length.
function narrow(index: Uint32Array, texts: number): Uint8Array | Uint16Array | Uint32Array {
  if (texts < 256) return Uint8Array.from(index);
  return texts < 65_536 ? Uint16Array.from(index) : index;
}

function widen(
  bytes: Uint8Array<ArrayBuffer>,
  count: number,
): Uint8Array | Uint16Array | Uint32Array {
  if (bytes.length === count) return bytes;
  if (bytes.length === count * 2) return new Uint16Array(bytes.buffer, bytes.byteOffset, count);
  if (bytes.length === count * 4) return new Uint32Array(bytes.buffer, bytes.byteOffset, count);
  throw damaged(what);
}

function floats(bytes: Uint8Array<ArrayBuffer>, count: number): Float64Array {
  if (bytes.length !== count * 8) throw damaged(what);
  return new Float64Array(bytes.buffer, bytes.byteOffset, count);
}

function readDirectory(bytes: Uint8Array): { at: Part; columns: readonly ColumnEntry[] } {
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
