import type { ErrorObject, ValidateFunction } from 'ajv';
import { type Json, type JsonObject, storableText } from '../../json.ts';
import { compileRowSchema } from '../../json-schema.ts';
import { plainName } from './data-profile.ts';

/** A row that does not fit, as an example. */
export interface RowFailure {
  /** 1 for the first row of the data. */
  readonly row: number;
  /** Empty where it is the row as a whole. */
  readonly column: string;
  /** The keyword of the schema; `unreadable` where there is no row. */
  readonly rule: string;
  readonly message: string;
  /** The value, shortened. */
  readonly value?: string;
}

/** How often a rule failed in a column. */
export interface FailureCount {
  readonly column: string;
  readonly rule: string;
  /** Rows. */
  readonly count: number;
  /** Of the first row. */
  readonly message: string;
}

/** What came of the rows one by one. */
export interface RowFailures {
  /** Rows that failed by any rule. */
  readonly failedRows: number;
  readonly unreadableRows: number;
  /** Most frequent first, at most 1,000. */
  readonly counts: readonly FailureCount[];
  /** The first ones. */
  readonly examples: readonly RowFailure[];
}

const maxCounts = 1000;
/** All faults of a row are looked for only where it has at most so many values, so that none makes millions of them. */
const maxValues = 2000;
const maxShown = 100;

/** Holds rows to a JSON Schema; keeps counts and the first examples. */
export class RowCheck {
  readonly #first: ValidateFunction | undefined;
  readonly #all: ValidateFunction | undefined;
  readonly #maxExamples: number;
  readonly #counts = new Map<
    string,
    { count: number; column: string; rule: string; message: string }
  >();
  readonly #examples: RowFailure[] = [];
  #failedRows = 0;
  #unreadable = 0;

  /** INVALID for a schema that is none. */
  constructor(schema: JsonObject | undefined, maxExamples: number) {
    const compiled = (all: boolean) =>
      schema && compileRowSchema(schema, 'The schema of dataValidationStep', all);
    this.#first = compiled(false);
    this.#all = compiled(true);
    this.#maxExamples = maxExamples;
  }

  check(number: number, row: Readonly<Record<string, unknown>>): void {
    const validate = this.#first;
    if (validate === undefined || validate(row)) return;
    this.#failedRows += 1;
    const all = this.#all;
    const light = all !== undefined && weigh(row, maxValues) > 0;
    if (light) all(row);
    const errors = (light ? all : validate).errors ?? [];
    const seen = new Set<string>();
    for (const error of errors) {
      const column = columnOf(error);
      const key = `${error.keyword}\u0000${column}`;
      if (seen.has(key)) continue;
      seen.add(key);
      this.#count(key, {
        row: number,
        column,
        rule: error.keyword,
        message: shown(messageOf(error)),
        ...shownValue(error),
      });
    }
  }

  unreadable(number: number, why: string): void {
    this.#failedRows += 1;
    this.#unreadable += 1;
    this.#count('unreadable', { row: number, column: '', rule: 'unreadable', message: why });
  }

  get failures(): RowFailures {
    return {
      failedRows: this.#failedRows,
      unreadableRows: this.#unreadable,
      counts: [...this.#counts.values()].toSorted((a, b) => b.count - a.count),
      examples: this.#examples,
    };
  }

  #count(key: string, failure: RowFailure): void {
    if (this.#examples.length < this.#maxExamples) this.#examples.push(failure);
    const known = this.#counts.get(key);
    if (known !== undefined) known.count += 1;
    else if (this.#counts.size < maxCounts) {
      const { column, rule, message } = failure;
      this.#counts.set(key, { column, rule, count: 1, message });
    }
  }
}

/** What is left of `budget` after a value for each; 0 or less where there are more. */
function weigh(value: unknown, budget: number): number {
  let left = budget - 1;
  if (typeof value !== 'object' || value === null) return left;
  const parts = Array.isArray(value) ? value : Object.values(value);
  for (const part of parts) {
    if (left <= 0) return left;
    left = weigh(part, left);
  }
  return left;
}

function columnOf({ instancePath, params }: ErrorObject): string {
  const [, first] = instancePath.split('/');
  const named = first?.replaceAll('~1', '/').replaceAll('~0', '~');
  const { missingProperty, additionalProperty } = params as Record<string, unknown>;
  return plainName(named ?? String(missingProperty ?? additionalProperty ?? ''));
}

function messageOf({ keyword, message = '', params }: ErrorObject): string {
  if (keyword === 'enum') {
    const allowed = (params as { readonly allowedValues: readonly Json[] }).allowedValues;
    return `must be one of ${allowed
      .slice(0, 10)
      .map((each) => JSON.stringify(each))
      .join(', ')}`;
  }
  return message;
}

function shownValue({ data, instancePath }: ErrorObject): { readonly value?: string } {
  if (instancePath === '') return {};
  if (typeof data === 'string') return { value: JSON.stringify(shown(data)) };
  return typeof data === 'object' && data !== null
    ? { value: Array.isArray(data) ? `a list of ${data.length}` : 'an object' }
    : { value: String(data) };
}

function shown(text: string): string {
  return storableText(text.slice(0, maxShown * 2), maxShown);
}
