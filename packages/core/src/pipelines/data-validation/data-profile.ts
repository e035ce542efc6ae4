import { KeelsonError } from '../../errors.ts';
import { type Json, type JsonObject, storableText } from '../../json.ts';
import {
  type Category,
  DistinctCount,
  FrequentValues,
  quantile,
  Reservoir,
  RunningMoments,
  sampleVariance,
} from '../../statistics/index.ts';

/** What a column is made of. `other`: lists and objects. */
export type ColumnType = 'number' | 'category' | 'mixed' | 'other' | 'empty';

/** What there is to know of a column. Plain JSON; null where there are no numbers. */
export interface ColumnProfile {
  readonly column: string;
  readonly type: ColumnType;
  /** Rows with a value. */
  readonly count: number;
  /** Rows without one: left out, null or NaN. */
  readonly missing: number;
  readonly infinite: number;
  /** Values that are text or true or false. */
  readonly texts: number;
  /** Different values: exact up to 2,000, else within about 2 % either way. */
  readonly distinct: number;
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  /** With divisor n − 1. */
  readonly deviation: number | null;
  /** Of the sample, which is all values up to 10,000. */
  readonly quantiles: Readonly<Record<QuantileName, number>> | null;
  /** The most frequent values, at most 20; counts too low by at most `undercount`. */
  readonly top: readonly { readonly value: Category; readonly count: number }[];
  readonly undercount: number;
}

/** The quantiles of a profile. */
export type QuantileName = keyof typeof shares;

const shares = {
  p1: 0.01,
  p5: 0.05,
  p25: 0.25,
  p50: 0.5,
  p75: 0.75,
  p95: 0.95,
  p99: 0.99,
} as const;

/** What there is to know of rows. Plain JSON. */
export interface DataProfile {
  readonly format: 1;
  readonly rows: number;
  /** In the order in which they were first seen, at most 256. */
  readonly columns: readonly ColumnProfile[];
  /** Whether there were more columns. */
  readonly moreColumns: boolean;
  /** Values of each column, chosen at random: what drift is measured on. */
  readonly samples: readonly { readonly column: string; readonly values: readonly Category[] }[];
}

/** The type of an artifact that is a {@link DataProfile}. */
export const profileType = 'application/vnd.keelson.data-profile+json';

const maxColumns = 256;
const sampleSize = 10_000;
const topSize = 20;
/** Longer texts are told apart by their beginning and their length. */
const maxText = 60;

/** Makes a profile of rows in bounded memory, whatever they are. */
export class DataProfiler {
  readonly #columns = new Map<string, ColumnProfiler>();
  #rows = 0;
  #more = false;

  add(row: Readonly<Record<string, unknown>>): void {
    this.#rows += 1;
    for (const name in row) {
      if (!Object.hasOwn(row, name)) continue;
      const value = row[name];
      const column = this.#columns.get(name) ?? this.#newColumn(name);
      column?.add(value);
    }
  }

  profile(): DataProfile {
    const columns = [...this.#columns];
    return {
      format: 1,
      rows: this.#rows,
      columns: columns.map(([name, column]) => column.profile(plainName(name), this.#rows)),
      moreColumns: this.#more,
      samples: columns.map(([name, { sample }]) => ({ column: plainName(name), values: sample })),
    };
  }

  #newColumn(name: string): ColumnProfiler | undefined {
    if (this.#columns.size >= maxColumns) {
      this.#more = true;
      return undefined;
    }
    const column = new ColumnProfiler(name);
    this.#columns.set(name, column);
    return column;
  }
}

class ColumnProfiler {
  readonly #distinct = new DistinctCount();
  readonly #frequent = new FrequentValues<Category>();
  readonly #sample: Reservoir<Category>;
  #numbers = 0;
  #texts = 0;
  #others = 0;
  #infinite = 0;
  readonly #running = new RunningMoments();

  constructor(name: string) {
    this.#sample = new Reservoir(sampleSize, name);
  }

  get sample(): readonly Category[] {
    return this.#sample.values;
  }

  add(value: unknown): void {
    switch (typeof value) {
      case 'number':
        if (Number.isFinite(value)) this.#addNumber(value);
        else if (!Number.isNaN(value)) this.#infinite += 1;
        return;
      case 'string':
        this.#texts += 1;
        this.#distinct.add(value);
        this.#see(shortText(value));
        return;
      case 'boolean':
        this.#texts += 1;
        this.#distinct.add(String(value));
        this.#see(value);
        return;
      case 'object':
        if (value !== null) this.#others += 1;
        return;
      default:
    }
  }

  profile(column: string, rows: number): ColumnProfile {
    const [numbers, texts, others] = [this.#numbers, this.#texts, this.#others];
    const count = numbers + this.#infinite + texts + others;
    const { moments } = this.#running;
    const some = numbers > 0;
    const deviation = numbers > 1 ? Math.sqrt(sampleVariance(moments)) : null;
    const exact = this.#frequent.undercount === 0;
    return {
      column,
      type: columnTypeOf(numbers + this.#infinite, texts, others),
      count,
      missing: rows - count,
      infinite: this.#infinite,
      texts,
      distinct: exact ? this.#frequent.kept : this.#distinct.estimate,
      min: moments.low,
      max: moments.high,
      mean: some ? moments.mean : null,
      deviation,
      quantiles: some ? this.#quantiles() : null,
      top: this.#frequent.top(topSize),
      undercount: this.#frequent.undercount,
    };
  }

  #addNumber(value: number): void {
    this.#numbers += 1;
    this.#running.add(value);
    this.#distinct.add(value);
    this.#see(value);
  }

  #see(value: Category): void {
    this.#frequent.add(value);
    this.#sample.add(value);
  }

  #quantiles(): ColumnProfile['quantiles'] {
    const numbers = this.#sample.values.filter((value) => typeof value === 'number');
    if (numbers.length === 0) return null;
    const ascending = Float64Array.from(numbers).sort();
    const named = Object.entries(shares).map(([name, share]) => [name, quantile(ascending, share)]);
    return Object.fromEntries(named) as ColumnProfile['quantiles'];
  }
}

/** What a column with so many entries of each kind is made of. */
export function columnTypeOf(numbers: number, texts: number, others: number): ColumnType {
  const kinds = [numbers, texts, others].filter((count) => count > 0).length;
  if (kinds === 0) return 'empty';
  if (kinds > 1) return 'mixed';
  if (numbers > 0) return 'number';
  return texts > 0 ? 'category' : 'other';
}

/** A text that a store can keep, of bounded length; short ones stay as they are. */
function shortText(text: string): string {
  if (text.length <= maxText && text.isWellFormed() && !text.includes('\u0000')) return text;
  const start = storableText(text.slice(0, maxText), maxText);
  return text.length <= maxText ? start : `${start}… (${text.length} characters)`;
}

/** A column's name as reports have it. */
export function plainName(name: string): string {
  return shortText(name);
}

/** The profile that an artifact or option says. INVALID for what is none. */
export function readProfile(value: Json | DataProfile | undefined): DataProfile {
  const profile = value as unknown as DataProfile | undefined;
  const known =
    typeof profile === 'object' &&
    profile !== null &&
    profile.format === 1 &&
    Array.isArray(profile.columns) &&
    Array.isArray(profile.samples);
  if (known) return profile;
  throw new KeelsonError('INVALID', 'The baseline is no profile that a data validation has made.');
}

/** The profile without its samples, for reports. */
export function withoutSamples({ samples: _, ...profile }: DataProfile): JsonObject {
  return profile as unknown as JsonObject;
}
