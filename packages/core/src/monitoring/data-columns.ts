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
  /** Finite numbers, in the order of the rows. */
  readonly numbers: Float64Array;
  /** Text and truth values, in the order of the rows. */
  readonly texts: readonly (string | boolean)[];
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
  for (const row of table) {
    for (const name in row) if (Object.hasOwn(row, name)) names.add(name);
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
  const values = isRows(table) ? undefined : table[name];
  if (values instanceof Float64Array || values instanceof Float32Array) return ofFloats(values);
  const sorter = new ColumnSorter(rows);
  if (isRows(table)) {
    for (const row of table) sorter.add(Object.hasOwn(row, name) ? row[name] : undefined);
  } else {
    for (let i = 0; i < rows; i += 1) sorter.add(values?.[i]);
  }
  return sorter.column();
}

/** From so many texts on, of which so large a share differs, a column names its rows. */
const naming = { from: 50, share: 0.9 };

/** Whether almost every row has a text of its own, as ids have. */
export function namesItsRows({ texts }: DataColumn): boolean {
  return texts.length >= naming.from && new Set(texts).size >= naming.share * texts.length;
}

/** Every value that is no list or object, for comparing as categories. */
export function categoriesOf({ numbers, texts }: DataColumn): readonly Category[] {
  return texts.length === 0 ? [...numbers] : [...numbers, ...texts];
}

class ColumnSorter {
  readonly #numbers: Float64Array;
  readonly #texts: (string | boolean)[] = [];
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
      case 'boolean':
        this.#texts.push(value);
        return;
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
    const [missing, infinite, others, texts] = [
      this.#missing,
      this.#infinite,
      this.#others,
      this.#texts,
    ];
    const numbers = this.#numbers.subarray(0, this.#count);
    const type = columnTypeOf(this.#count + infinite, texts.length, others);
    const isTime = this.#dates > 0 && this.#dates >= this.#count;
    return { type, rows: this.#rows, numbers, texts, missing, infinite, others, isTime };
  }
}

function ofFloats(values: Float64Array | Float32Array): DataColumn {
  const sorter = new ColumnSorter(values.length);
  for (const value of values) sorter.add(value);
  return sorter.column();
}

function isRows(table: DataTable): table is readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(table);
}

function isListLike(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}
