import { csvFields } from '../../registry/validation/csv.ts';
import { StepError } from '../step-policy.ts';
import type { ReadRow } from './row-reader.ts';
import type { Lines } from './text-lines.ts';

/** How texts of CSV become values. */
export interface CsvOptions {
  /** The JSON Schema of a row. */
  readonly schema?: Readonly<Record<string, unknown>>;
  /** Texts that stand for nothing. */
  readonly missing: readonly string[];
  readonly maxRowLength: number;
}

type Cell = (text: string) => unknown;

/** More columns are no table. */
const maxColumns = 10_000;

/**
 * The rows of CSV whose first line names the columns (RFC 4180). A text becomes a number or a boolean where the schema
 * says so or, where it says nothing of the column, where it is written like a number; a text that stands for nothing
 * is left out, or null where the schema allows that. A StepError (`data`) for a head that names no columns.
 */
export async function* csvRows(
  lines: AsyncIterable<Lines>,
  options: CsvOptions,
): AsyncGenerator<readonly ReadRow[], void, undefined> {
  const missing = new Set(options.missing);
  let head: readonly (readonly [name: string, cell: Cell])[] | undefined;
  const records = new Records(options.maxRowLength);

  function* rowsOf(record: string | null): Generator<ReadRow, void, undefined> {
    const fields = record === null ? 'it is longer than a row may be' : fieldsOf(record);
    if (head === undefined) {
      if (typeof fields === 'string') throw new StepError('data', `Line 1 of the CSV: ${fields}.`);
      head = columnsOf(fields, options.schema, missing);
      return;
    }
    if (typeof fields === 'string') {
      yield { fault: fields };
      return;
    }
    // An empty line is no row.
    if (fields.length === 1 && fields[0] === '' && head.length > 1) return;
    if (fields.length !== head.length) {
      yield { fault: `it has ${fields.length} fields, and the head has ${head.length}` };
      return;
    }
    const row: [string, unknown][] = [];
    for (const [i, [name, cell]] of head.entries()) {
      const value = cell(fields[i] as string);
      if (value !== undefined) row.push([name, value]);
    }
    yield { row: Object.fromEntries(row) };
  }

  for await (const batch of lines) {
    const rows: ReadRow[] = [];
    for (const line of batch) {
      for (const record of records.add(line)) rows.push(...rowsOf(record));
    }
    if (rows.length > 0) yield rows;
  }
  const rest = [...records.end()].flatMap((record) => [...rowsOf(record)]);
  if (rest.length > 0) yield rest;
}

/** Puts lines together where a quoted field goes over several. */
class Records {
  readonly #maxLength: number;
  #open: string[] = [];
  #length = 0;

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /** The record that the line ends, if it ends one; null for one that is too long. */
  *add(line: string | null): Generator<string | null, void, undefined> {
    const within = this.#open.length > 0;
    if (line === null) {
      this.#open = [];
      yield null;
      return;
    }
    const ends = !line.includes('"') ? !within : !endsQuoted(line, within);
    if (ends && !within) {
      yield line;
      return;
    }
    this.#length = (within ? this.#length : 0) + line.length + 1;
    this.#open.push(line);
    if (this.#length > this.#maxLength) {
      this.#open = [];
      yield null;
    } else if (ends) {
      yield this.#open.join('\n');
      this.#open = [];
    }
  }

  /** What is left at the end: a record whose quote nothing closes. */
  *end(): Generator<string, void, undefined> {
    if (this.#open.length > 0) yield this.#open.join('\n');
  }
}

/** Whether a quoted field is open at the end of a line. */
function endsQuoted(line: string, startsQuoted: boolean): boolean {
  let quoted = startsQuoted;
  let place = 0;
  for (;;) {
    if (quoted) {
      const quote = line.indexOf('"', place);
      if (quote === -1) return true;
      quoted = line[quote + 1] === '"';
      place = quote + (quoted ? 2 : 1);
    } else {
      if (line[place] === '"' && (place === 0 || line[place - 1] === ',')) {
        quoted = true;
        place += 1;
        continue;
      }
      const comma = line.indexOf(',', place);
      if (comma === -1) return false;
      place = comma + 1;
    }
  }
}

/** The fields, or why there are none. */
function fieldsOf(record: string): readonly string[] | string {
  if (!record.includes('"')) return record.split(',');
  try {
    return csvFields(record);
  } catch (error) {
    if (error instanceof Error && error.name === 'CsvFault') {
      return error.message.replace(/^line \d+/, 'it');
    }
    throw error;
  }
}

function columnsOf(
  names: readonly string[],
  schema: Readonly<Record<string, unknown>> | undefined,
  missing: ReadonlySet<string>,
): readonly (readonly [string, Cell])[] {
  if (names.length > maxColumns) {
    throw new StepError('data', `The head of the CSV has more than ${maxColumns} columns.`);
  }
  const twice = names.length === new Set(names).size ? undefined : doubled(names);
  if (twice !== undefined) {
    throw new StepError(
      'data',
      `The head of the CSV has the column ${JSON.stringify(twice)} twice.`,
    );
  }
  return names.map((name) => [name, cellOf(typesOf(schema, name), missing)]);
}

function doubled(names: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return names.find((name) => seen.size === seen.add(name).size);
}

function typesOf(
  schema: Readonly<Record<string, unknown>> | undefined,
  name: string,
): readonly string[] {
  const properties = schema?.['properties'] as Readonly<Record<string, unknown>> | undefined;
  if (properties === undefined || !Object.hasOwn(properties, name)) return [];
  const { type } = (properties[name] ?? {}) as { readonly type?: string | readonly string[] };
  return type === undefined ? [] : [type].flat();
}

function cellOf(types: readonly string[], missing: ReadonlySet<string>): Cell {
  const nothing = types.includes('null') ? null : undefined;
  const numeric = types.includes('number') || types.includes('integer');
  const read: Cell = numeric
    ? (text) => numberIn(text)
    : types.includes('boolean')
      ? (text) => booleans.get(text.toLowerCase()) ?? text
      : types.includes('string')
        ? (text) => text
        : (text) => (plainNumber.test(text) ? Number(text) : text);
  return (text) => (missing.has(text) ? nothing : read(text));
}

const booleans = new Map([
  ['true', true],
  ['false', false],
]);
/** Without leading zeros, which codes have and numbers do not. */
const plainNumber = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const anyNumber = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** The number, NaN and infinities included; the text as it is where it is none, for the schema to refuse. */
function numberIn(text: string): number | string {
  const trimmed = text.trim();
  if (anyNumber.test(trimmed)) return Number(trimmed);
  if (/^nan$/i.test(trimmed)) return Number.NaN;
  const infinite = /^([+-]?)inf(inity)?$/i.exec(trimmed);
  if (infinite === null) return text;
  return infinite[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}
