import { KeelsonError } from '../errors.ts';
import { type ColumnType, columnTypeOf } from '../pipelines/data-validation/data-profile.ts';
import type { Category } from '../statistics/index.ts';

/** Data as rows, or as columns of equal length. */
export type DataTable =
  | readonly Readonly<Record<string, unknown>>[]
  | Readonly<Record<string, ArrayLike<unknown>>>;

/** A column, sorted out: what can be counted with, and how much cannot. */
export interface DataColumn {
  readonly type: ColumnType;
  /** Rows of the table. */
  readonly rows: number;
  /** Finite numbers, in the order of the rows; the table's own list where it is that. Not to be written to. */
  readonly numbers: Float64Array;
  /** Text and truth values, each with the number of its rows, in the order in which they first occur. */
  readonly texts: ReadonlyMap<string | boolean, number>;
  /** Rows with one of these. */
  readonly textRows: number;
  /** Rows with nothing, null or NaN. */
  readonly missing: number;
  /** Rows with ±Infinity. */
  readonly infinite: number;
  /** Rows with a list, an object or a function. */
  readonly others: number;
  /** Whether its numbers are points in time (`Date`). */
  readonly isTime: boolean;
}

/** The names of a table's columns, in the order in which they first occur. */
export function columnNames(table: DataTable): readonly string[] {
  if (!isRows(table)) return Object.keys(table);
  const names = new Set<string>();
  let before: readonly string[] = [];
  for (const row of table) {
    const keys = Object.keys(row);
    // Most rows have the columns of the one before.
    if (keys.length === before.length && keys.every((key, i) => key === before[i])) continue;
    before = keys;
    for (const key of keys) names.add(key);
  }
  return [...names];
}

/** How many rows a table has. INVALID for columns of different lengths. */
export function rowCount(table: DataTable, whose: string): number {
  if (isRows(table)) return table.length;
  const [first, ...rest] = Object.entries(table);
  if (first === undefined) return 0;
  const other = rest.find(([, values]) => values.length !== first[1].length);
  if (other === undefined) return first[1].length;
  throw new KeelsonError(
    'INVALID',
    `The columns of ${whose} differ in length: ${JSON.stringify(first[0])} has ${first[1].length} values, ${JSON.stringify(other[0])} has ${other[1].length}.`,
  );
}

/** INVALID unless it is rows or columns. */
export function assertTable(table: unknown, whose: string): asserts table is DataTable {
  if (Array.isArray(table)) {
    const odd = table.findIndex((row) => typeof row !== 'object' || row === null);
    if (odd < 0) return;
    throw new KeelsonError(
      'INVALID',
      `Row ${odd} of ${whose} is ${table[odd] === null ? 'null' : `a ${typeof table[odd]}`}; each row must be an object, such as { age: 41, plan: 'free' }.`,
    );
  }
  if (typeof table === 'object' && table !== null) {
    const odd = Object.entries(table).find(([, values]) => !isListLike(values));
    if (odd === undefined) return;
    throw new KeelsonError(
      'INVALID',
      `Column ${JSON.stringify(odd[0])} of ${whose} must be a list of values.`,
    );
  }
  throw new KeelsonError(
    'INVALID',
    `${whose} must be a list of rows or an object of columns, such as [{ age: 41 }] or { age: [41] }.`,
  );
}

/** A column by name; one that the table lacks is missing in every row. */
export function dataColumn(table: DataTable, name: string, rows: number): DataColumn {
  return dataColumns(table, [name], rows).get(name) as DataColumn;
}

/** Columns by name, of rows in one walk over them. */
export function dataColumns(
  table: DataTable,
  names: readonly string[],
  rows: number,
): ReadonlyMap<string, DataColumn> {
  if (isRows(table)) return ofRows(table, names);
  return new Map(
    names.map((name) => {
      const values = table[name];
      if (values instanceof Float64Array || values instanceof Float32Array) {
        return [name, ofFloats(values)];
      }
      const sorter = new ColumnSorter(rows);
      for (let i = 0; i < rows; i += 1) sorter.add(values?.[i]);
      return [name, sorter.column()];
    }),
  );
}

function ofRows(
  table: readonly Readonly<Record<string, unknown>>[],
  names: readonly string[],
): ReadonlyMap<string, DataColumn> {
  const sorters = names.map((name) => ({ name, sorter: new ColumnSorter(table.length) }));
  // What any object has is no column, unless it is the row's own.
  const plain = names.every((name) => !(name in Object.prototype));
  for (const row of table) {
    const isPlain = plain && Object.getPrototypeOf(row) === Object.prototype;
    for (const { name, sorter } of sorters) {
      sorter.add(isPlain || Object.hasOwn(row, name) ? row[name] : undefined);
    }
  }
  return new Map(sorters.map(({ name, sorter }) => [name, sorter.column()]));
}

/** From so many texts on, of which so large a share differs, a column names its rows. */
const naming = { from: 50, share: 0.9 };

/** Whether almost every row has a text of its own, as ids have. */
export function namesItsRows({ texts, textRows }: DataColumn): boolean {
  return textRows >= naming.from && texts.size >= naming.share * textRows;
}

/** Every value that is no list or object, with the number of its rows, for comparing as categories. */
export function categoriesOf({ numbers, texts }: DataColumn): ReadonlyMap<Category, number> {
  if (numbers.length === 0) return texts;
  const counts = new Map<Category, number>();
  for (const value of numbers) counts.set(value, (counts.get(value) ?? 0) + 1);
  for (const [value, count] of texts) counts.set(value, count);
  return counts;
}

class ColumnSorter {
  readonly #numbers: Float64Array;
  /** Where each text is counted. */
  readonly #places = new Map<string | boolean, number>();
  readonly #counts: number[] = [];
  #textRows = 0;
  readonly #rows: number;
  #count = 0;
  #missing = 0;
  #infinite = 0;
  #others = 0;
  #dates = 0;

  constructor(rows: number) {
    this.#rows = rows;
    this.#numbers = new Float64Array(rows);
  }

  add(value: unknown): void {
    switch (typeof value) {
      case 'number':
        if (Number.isFinite(value)) {
          this.#numbers[this.#count] = value;
          this.#count += 1;
        } else if (Number.isNaN(value)) this.#missing += 1;
        else this.#infinite += 1;
        return;
      case 'string':
      case 'boolean': {
        this.#textRows += 1;
        const place = this.#places.get(value);
        if (place !== undefined) {
          this.#counts[place] = (this.#counts[place] as number) + 1;
          return;
        }
        this.#places.set(value, this.#counts.length);
        this.#counts.push(1);
        return;
      }
      case 'bigint':
        this.add(Number(value));
        return;
      case 'undefined':
        this.#missing += 1;
        return;
      default:
        if (value === null) this.#missing += 1;
        else if (value instanceof Date) {
          this.#dates += 1;
          this.add(value.getTime());
        } else this.#others += 1;
    }
  }

  column(): DataColumn {
    const [missing, infinite, others] = [this.#missing, this.#infinite, this.#others];
    const texts = this.#places;
    for (const [text, place] of texts) texts.set(text, this.#counts[place] as number);
    const numbers = this.#numbers.subarray(0, this.#count);
    const type = columnTypeOf(this.#count + infinite, this.#textRows, others);
    const isTime = this.#dates > 0 && this.#dates >= this.#count;
    const [rows, textRows] = [this.#rows, this.#textRows];
    return { type, rows, numbers, texts, textRows, missing, infinite, others, isTime };
  }
}

function ofFloats(values: Float64Array | Float32Array): DataColumn {
  const rows = values.length;
  let [count, infinite] = [0, 0];
  for (let i = 0; i < rows; i += 1) {
    const value = values[i] as number;
    if (value - value === 0) count += 1;
    else if (!Number.isNaN(value)) infinite += 1;
  }
  const missing = rows - count - infinite;
  const type = columnTypeOf(count + infinite, 0, 0);
  const none = { texts: new Map<string | boolean, number>(), textRows: 0, others: 0 };
  const isWhole = count === rows && values instanceof Float64Array;
  const numbers = isWhole ? values : finiteOf(values, count);
  return { type, rows, numbers, ...none, missing, infinite, isTime: false };
}

function finiteOf(values: Float64Array | Float32Array, count: number): Float64Array {
  const numbers = new Float64Array(count);
  let place = 0;
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i] as number;
    if (value - value !== 0) continue;
    numbers[place] = value;
    place += 1;
  }
  return numbers;
}

function isRows(table: DataTable): table is readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(table);
}

function isListLike(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}
