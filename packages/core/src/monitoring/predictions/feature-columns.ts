import type { RowColumn } from '../../contracts/series-store.ts';
import { decodeJson, encodeJson } from '../../json.ts';
import { storableValue, type Unstorable } from './storable-value.ts';

/** What the names of columns begin with that hold numbers, texts and other values of a feature. */
const prefixes = { number: 'number:', text: 'text:', json: 'json:' } as const;
/** Features that have columns of their own in a batch. */
const maxColumns = 256;
/** A feature that fewer rows of a batch have lies with the rest. */
const columnShare = 1 / 8;
const maxName = 400;
/** The column of features that have none: one JSON object a row. Before there were columns it had all. */
export const restColumn = 'features';

interface FeatureColumn {
  readonly name: string;
  /** Rows that have it. */
  count: number;
  numbers: Float64Array | undefined;
  /** 1 where there is no number. */
  readonly missing: Uint8Array;
  numberCount: number;
  texts: (string | null)[] | undefined;
  others: (string | null)[] | undefined;
}

/**
 * The features of rows as columns: numbers as numbers, texts as texts, whatever else as JSON, so that a value keeps its type
 * where rows differ in it. Features of few rows lie as JSON objects in one column, so that no caller can make a
 * batch of many columns. A value that no store can keep is left out and counted.
 */
export function featureColumns(
  rows: readonly Readonly<Record<string, unknown>>[],
  unstorable: Unstorable,
): Record<string, RowColumn> {
  const columns: FeatureColumn[] = [];
  const byName = new Map<string, FeatureColumn>();
  const rest: (Map<string, unknown> | undefined)[] = [];
  const addRest = (i: number, name: string, value: unknown): void => {
    let map = rest[i];
    if (map === undefined) rest[i] = map = new Map();
    map.set(name, value);
  };
  const columnOf = (name: string): FeatureColumn | undefined => {
    const known = byName.get(name);
    if (known !== undefined) return known;
    if (columns.length >= maxColumns || name.length > maxName || !isName(name)) return undefined;
    const made: FeatureColumn = {
      ...{
        name,
        count: 0,
        numbers: undefined,
        numberCount: 0,
        texts: undefined,
        others: undefined,
      },
      missing: new Uint8Array(rows.length).fill(1),
    };
    columns.push(made);
    byName.set(name, made);
    return made;
  };
  for (let i = 0; i < rows.length; i += 1) {
    const row = rows[i] as Readonly<Record<string, unknown>>;
    try {
      // Rows mostly have their features in the same order.
      let place = 0;
      for (const name in row) {
        const guess = columns[place];
        place += 1;
        const value = row[name];
        if (value === undefined) continue;
        const column = guess?.name === name ? guess : columnOf(name);
        if (column === undefined) addRest(i, name, value);
        else put(column, i, value, rows.length, unstorable);
      }
    } catch {
      // A getter or a proxy that throws; what was read before it stays.
      unstorable.count += 1;
    }
  }
  const out: [string, RowColumn][] = [];
  for (const column of columns) {
    if (column.count >= rows.length * columnShare) out.push(...storedColumns(column));
    else for (const [i, value] of valuesOf(column, rows.length)) addRest(i, column.name, value);
  }
  if (rest.some((map) => map !== undefined)) {
    const values = Array.from(rows, (_, i) => {
      const map = rest[i];
      return map === undefined ? null : restText(map, unstorable);
    });
    out.push([restColumn, { type: 'json', values }]);
  }
  return Object.fromEntries(out);
}

/** The features of a row of a batch, as they were handed over. */
export function featuresReader(
  columns: Readonly<Record<string, RowColumn>>,
): (i: number) => readonly (readonly [name: string, column: RowColumn])[] {
  const own = Object.entries(columns).flatMap(([name, column]) => {
    const prefix = prefixes[column.type];
    return name.startsWith(prefix) ? [[name.slice(prefix.length), column] as const] : [];
  });
  return (i) => own.filter(([, column]) => hasValue(column, i));
}

function hasValue(column: RowColumn, i: number): boolean {
  return column.type === 'number' ? column.missing?.[i] !== 1 : column.values[i] !== null;
}

function put(
  column: FeatureColumn,
  i: number,
  value: unknown,
  rows: number,
  unstorable: Unstorable,
): void {
  if (typeof value === 'number') {
    column.numbers ??= new Float64Array(rows);
    column.numbers[i] = value;
    column.missing[i] = 0;
    column.numberCount += 1;
  } else {
    const stored = storableValue(value, unstorable);
    if (stored === undefined) return;
    if (typeof stored === 'string') {
      column.texts ??= new Array<string | null>(rows).fill(null);
      column.texts[i] = stored;
    } else {
      column.others ??= new Array<string | null>(rows).fill(null);
      column.others[i] = stored.json;
    }
  }
  column.count += 1;
}

function* storedColumns(column: FeatureColumn): Generator<[string, RowColumn]> {
  const { name, numbers, missing, numberCount, texts, others } = column;
  if (numbers !== undefined) {
    const values = { type: 'number', values: numbers } as const;
    const whole = numberCount === missing.length;
    yield [`${prefixes.number}${name}`, whole ? values : { ...values, missing }];
  }
  if (texts !== undefined) yield [`${prefixes.text}${name}`, { type: 'text', values: texts }];
  if (others !== undefined) yield [`${prefixes.json}${name}`, { type: 'json', values: others }];
}

function* valuesOf(column: FeatureColumn, rows: number): Generator<[number, unknown]> {
  for (let i = 0; i < rows; i += 1) {
    if (column.missing[i] === 0) yield [i, column.numbers?.[i]];
    else if (typeof column.texts?.[i] === 'string') yield [i, column.texts[i]];
    else {
      const json = column.others?.[i];
      if (typeof json === 'string') yield [i, decodeJson(json)];
    }
  }
}

function restText(map: ReadonlyMap<string, unknown>, unstorable: Unstorable): string | null {
  const entries: string[] = [];
  for (const [name, value] of map) {
    const text = typeof value === 'number' ? encodeJson(value) : storedText(value, unstorable);
    if (text === undefined) continue;
    const key = isName(name) ? name : name.toWellFormed().replaceAll('\u0000', '\uFFFD');
    entries.push(`${JSON.stringify(escapedKey(key))}:${text}`);
  }
  return entries.length === 0 ? null : `{${entries.join(',')}}`;
}

function storedText(value: unknown, unstorable: Unstorable): string | undefined {
  const stored = storableValue(value, unstorable);
  if (stored === undefined) return undefined;
  return typeof stored === 'string' ? JSON.stringify(stored) : stored.json;
}

/** As `encodeJson` writes keys that look like its tags. */
function escapedKey(key: string): string {
  return /^\$+number$/.test(key) ? `$${key}` : key;
}

function isName(name: string): boolean {
  return !name.includes('\u0000') && name.isWellFormed();
}
