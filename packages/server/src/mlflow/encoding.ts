import { invalid } from './errors.ts';

/** Where a value stands in a request. */
export interface Place {
  /** Such as `metrics[0].timestamp`; empty for the request itself. */
  readonly path: string;
  /** Values of a query are texts, or lists of texts where a key was given more than once. */
  readonly query: boolean;
}

/** Reads one value; INVALID_PARAMETER_VALUE, naming its place, for what it is not. */
export type Reader<T> = (value: unknown, at: Place) => T;

/** A field that must be given. */
export interface Needed<T> {
  readonly needed: Reader<T>;
}

// biome-ignore lint/suspicious/noExplicitAny: fields of any type, each kept by the mapped type below
type Fields = Readonly<Record<string, Reader<any> | Needed<any>>>;

/** What a message of such fields is read as; what is left out, or null, is undefined. */
export type Message<F> = {
  readonly [K in keyof F]: F[K] extends Needed<infer T>
    ? T
    : F[K] extends Reader<infer T>
      ? T | undefined
      : never;
};

/** A field that must be given, and must not be an empty text. */
export function needed<T>(reader: Reader<T>): Needed<T> {
  return { needed: reader };
}

/** Text. */
export const text: Reader<string> = (value, at) => {
  const one = single(value, at);
  return typeof one === 'string' ? one : wrong(one, at);
};

/** A safe integer, as a number or as its text. */
export const int64: Reader<number> = (value, at) => {
  const one = single(value, at);
  const number = typeof one === 'string' && /^[+-]?\d+$/.test(one.trim()) ? Number(one) : one;
  if (!Number.isInteger(number)) return wrong(one, at);
  if (Number.isSafeInteger(number)) return number as number;
  return wrong(one, at, 'Integers beyond 9007199254740991 are not kept exactly here.');
};

const specialDoubles: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
};

/** A number, or its text; `NaN`, `Infinity` and `-Infinity` only have texts. */
export const double: Reader<number> = (value, at) => {
  const one = single(value, at);
  if (typeof one === 'number') return one;
  if (typeof one !== 'string' || one.trim() === '') return wrong(one, at);
  const special = Object.hasOwn(specialDoubles, one) ? specialDoubles[one] : undefined;
  const number = special ?? Number(one);
  return Number.isNaN(number) && special === undefined ? wrong(one, at) : number;
};

/** True or false; in a query, in any case. */
export const bool: Reader<boolean> = (value, at) => {
  const one = single(value, at);
  if (typeof one === 'boolean') return one;
  const word = typeof one === 'string' ? one.toLowerCase() : '';
  return word === 'true' ? true : word === 'false' ? false : wrong(one, at);
};

/** One of some names. */
export function oneOf<const N extends string>(...names: readonly N[]): Reader<N> {
  return (value, at) => {
    const one = single(value, at);
    const found = names.find((name) => name === one);
    return found ?? wrong(one, at, `It is one of ${names.join(', ')}.`);
  };
}

/** A list; in a query, a key that is given so many times. */
export function list<T>(item: Reader<T>): Reader<readonly T[]> {
  return (value, at) => {
    const all = at.query && !Array.isArray(value) ? [value] : value;
    if (!Array.isArray(all)) return wrong(value, at);
    return all.map((each, i) => item(each, { path: `${at.path}[${i}]`, query: at.query }));
  };
}

/** Fields; those that it does not know are left alone. */
export function message<F extends Fields>(fields: F): Reader<Message<F>> {
  return (value, at) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return wrong(value, at);
    }
    const given = value as Readonly<Record<string, unknown>>;
    const read = Object.entries(fields).map(([name, field]) => {
      const path = at.path === '' ? name : `${at.path}.${name}`;
      const one = Object.hasOwn(given, name) ? (given[name] ?? undefined) : undefined;
      if (typeof field !== 'function') {
        if (one === undefined || one === '') throw missingValue(path);
        return [name, field.needed(one, { path, query: at.query })];
      }
      return [name, one === undefined ? undefined : field(one, { path, query: at.query })];
    });
    return Object.fromEntries(read) as Message<F>;
  };
}

/** A key with its value: tags, params. */
export const pair: Reader<{ readonly key: string; readonly value: string }> = (value, at) => {
  const { key, value: of = '' } = message({ key: needed(text), value: text })(value, at);
  return { key, value: of };
};

/** The query of a GET as readers take it. */
export function queryFields(query: URLSearchParams): Readonly<Record<string, unknown>> {
  const fields: [string, unknown][] = [...new Set(query.keys())].map((key) => {
    const values = query.getAll(key);
    return [key, values.length === 1 ? values[0] : values];
  });
  return Object.fromEntries(fields);
}

/** The error for a field that is not there. */
export function missingValue(path: string): Error {
  return invalid(
    `Missing value for required parameter '${path}'. See the API docs for more information about request parameters.`,
  );
}

/** A double in JSON, which has no NaN, no infinities, and no −0. */
export function fromDouble(value: number): number | string {
  if (Object.is(value, -0)) return '-0.0';
  return Number.isFinite(value) ? value : String(value);
}

/** Pairs of a map, for tags and params. */
export function toPairs(
  map: Readonly<Record<string, string>>,
): readonly { readonly key: string; readonly value: string }[] {
  return Object.entries(map).map(([key, value]) => ({ key, value }));
}

/** The fields that are set: neither undefined nor an empty list. */
export function set<T extends object>(
  fields: T,
): { readonly [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(
    ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
  );
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function single(value: unknown, at: Place): unknown {
  return at.query && Array.isArray(value) ? value[0] : value;
}

function wrong(value: unknown, { path }: Place, why = ''): never {
  const shown = shownOf(value);
  const given = shown.length > 200 ? `${shown.slice(0, 200)}…` : shown;
  if (path === '') throw invalid(`A request is a JSON object, not ${given}.`);
  const because = why === '' ? '.' : `: ${why}`;
  throw invalid(`Invalid value ${given} for parameter '${path}' supplied${because}`);
}

function shownOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch (error) {
    // Nested too deeply to be written.
    if (error instanceof RangeError) return Array.isArray(value) ? '[…]' : '{…}';
    throw error;
  }
}
