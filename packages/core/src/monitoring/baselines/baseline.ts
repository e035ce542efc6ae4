import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import {
  binsFor,
  binsOfCounts,
  type Category,
  countInBins,
  type Moments,
  momentsOf,
  Reservoir,
  sortNumbers,
} from '../../statistics/index.ts';
import {
  assertTable,
  categoriesOf,
  columnNames,
  type DataColumn,
  type DataTable,
  dataColumn,
  namesItsRows,
  rowCount,
} from '../data-columns.ts';
import type { Season } from './season.ts';

/** How the values of a feature are told apart: by ranges, or one by one. Plain JSON. */
export type FeatureBins =
  | {
      readonly type: 'number';
      /** Ascending; a value's bin is the number of edges at or below it. */
      readonly edges: readonly number[];
    }
  | {
      readonly type: 'category';
      /** With a bin of their own; whatever else comes shares the last bin. */
      readonly categories: readonly Category[];
    };

/** What was counted of a feature. Plain JSON; counts add up exactly. */
export type FeatureCounts = {
  /** One for each bin. */
  readonly counts: readonly number[];
  /** Entries that are absent, null or NaN. */
  readonly missing: number;
  /** Entries that are ±Infinity, of numbers. */
  readonly infinite: number;
  /** Entries of another type: text among numbers, lists and objects anywhere. */
  readonly mistyped: number;
  /** Of numbers. */
  readonly moments?: Moments;
  /** Of numbers that were counted with a baseline: entries below its lowest value or above its highest. */
  readonly outside?: number;
  /** Categories that have no bin, the first hundred different ones, most frequent first. */
  readonly strangers?: readonly { readonly category: Category; readonly count: number }[];
};

/** A feature as it was in the reference. */
export type FeatureBaseline = FeatureBins &
  FeatureCounts & {
    readonly feature: string;
    /** Of numbers: values chosen at random, for plots and for tests that need values. */
    readonly sample?: readonly number[];
  };

/**
 * What data was like, in counts: nothing of the rows is needed afterwards, and what comes later is counted in the same
 * bins. Plain JSON.
 */
export type Baseline = {
  readonly format: 1;
  readonly rows: number;
  readonly features: readonly FeatureBaseline[];
  /** What the model answered. */
  readonly prediction?: FeatureBaseline;
  /** Columns that are not watched, and why. */
  readonly setAside: readonly { readonly feature: string; readonly reason: string }[];
  /** How much the model relies on each feature; all alike when left out. */
  readonly importances?: Readonly<Record<string, number>>;
  /** What data was like at times that come again, such as each hour of the week. */
  readonly seasons?: SeasonCounts;
  /** What data was like in its most frequent segments. */
  readonly segments?: SegmentCounts;
};

/** Counts apart for parts of the data. Plain JSON. */
export type SegmentCounts = {
  /** The column (or feature) whose values they are; `segment` is that of predictions. */
  readonly by: string;
  /** Value, as text → entries and counts in the coarse bins of each feature, in their order. */
  readonly parts: Readonly<Record<string, SlotOfSeason>>;
};

/** Counts apart for times that come again. Plain JSON. */
export type SeasonCounts = {
  readonly by: Season;
  /** Slot (see {@link Season}) → entries, and counts in the coarse bins of each feature, in their order. */
  readonly slots: Readonly<Record<string, SlotOfSeason>>;
};

/** What data was like in one slot, or one segment. */
export type SlotOfSeason = {
  readonly rows: number;
  readonly features: readonly (readonly number[])[];
  readonly prediction?: readonly number[];
};

/** How a baseline is made. */
export interface BaselineOptions {
  /** The columns that are features; all when left out. */
  readonly columns?: readonly string[];
  /** Columns that are none, such as the label. */
  readonly except?: readonly string[];
  /** The column with what the model answered. */
  readonly prediction?: string;
  /** Quantile bins of numbers; 100 when left out. */
  readonly bins?: number;
  /** Categories with a bin of their own; 50 when left out. */
  readonly categories?: number;
  /** Values that are kept of each feature of numbers; 2,000 when left out. */
  readonly sample?: number;
  /** How much the model relies on each feature; all alike when left out. */
  readonly importances?: Readonly<Record<string, number>>;
}

const optionsShape = z.strictObject({
  columns: z.array(z.string()).optional(),
  except: z.array(z.string()).optional(),
  prediction: z.string().optional(),
  bins: z.number().int().min(2).max(1000).optional(),
  categories: z.number().int().min(1).max(1000).optional(),
  sample: z.number().int().min(0).max(100_000).optional(),
  importances: z.record(z.string(), z.number().min(0)).optional(),
} satisfies Record<keyof BaselineOptions, z.ZodType>);

/**
 * The baseline of rows, such as a training set. Columns of lists, ids and dates are set aside. INVALID for what is no
 * table.
 */
export function baselineOf(table: DataTable, options: BaselineOptions = {}): Baseline {
  assertTable(table, 'the reference');
  checkOptions(optionsShape, options, 'A baseline');
  const rows = rowCount(table, 'the reference');
  const { columns, except = [], prediction, importances } = options;
  const features: FeatureBaseline[] = [];
  const setAside: { feature: string; reason: string }[] = [];
  for (const feature of columns ?? columnNames(table)) {
    if (except.includes(feature) || feature === prediction) continue;
    const column = dataColumn(table, feature, rows);
    const reason = columns === undefined ? reasonAgainst(column) : undefined;
    if (reason === undefined) features.push(featureBaseline(feature, column, options));
    else setAside.push({ feature, reason });
  }
  const answers =
    prediction === undefined
      ? undefined
      : featureBaseline(prediction, dataColumn(table, prediction, rows), options);
  return {
    format: 1,
    rows,
    features,
    ...(answers === undefined ? {} : { prediction: answers }),
    setAside,
    ...(importances === undefined ? {} : { importances }),
  };
}

function reasonAgainst(column: DataColumn): string | undefined {
  if (column.type === 'empty') return 'nothing but missing values';
  if (column.type === 'other') return 'lists and objects are not watched';
  if (column.isTime) return 'points in time always move';
  return namesItsRows(column) ? 'almost every row has a text of its own' : undefined;
}

function featureBaseline(
  feature: string,
  column: DataColumn,
  { bins = 100, categories = 50, sample = 2000 }: BaselineOptions,
): FeatureBaseline {
  const { missing, infinite, others, textRows } = column;
  const numeric = column.numbers.length + infinite;
  if (numeric > 0 && numeric >= textRows) {
    const ascending = sortNumbers(column.numbers);
    const of = ascending.length === 0 ? { edges: [] } : binsFor(ascending, bins);
    return {
      feature,
      type: 'number',
      ...of,
      counts: countInBins(of, ascending),
      ...{ missing, infinite, mistyped: others + textRows },
      moments: momentsOf(ascending),
      sample: sampleOf(ascending, sample, feature),
    };
  }
  const listed = categoriesOf(column);
  const known = binsOfCounts(listed, categories).categories;
  const places = new Map(known.map((category, place) => [category, place]));
  const counts = new Array<number>(known.length + 1).fill(0);
  const strangers = new Map<Category, number>();
  for (const [category, count] of listed) {
    const place = places.get(category) ?? known.length;
    counts[place] = (counts[place] as number) + count;
    if (place === known.length) strangers.set(category, count);
  }
  return {
    feature,
    type: 'category',
    categories: known,
    counts,
    ...{ missing: missing + infinite, infinite: 0, mistyped: others },
    strangers: mostFrequent(strangers),
  };
}

/** At most so many different strangers are told apart. */
export const maxStrangers = 100;

/** Most frequent first; equal ones by type and text, so that equal counts give an equal list. */
export function mostFrequent(
  counts: ReadonlyMap<Category, number>,
): readonly { readonly category: Category; readonly count: number }[] {
  const key = (category: Category): string => `${typeof category}:${String(category)}`;
  return [...counts]
    .map(([category, count]) => ({ category, count }))
    .sort((a, b) => b.count - a.count || (key(a.category) < key(b.category) ? -1 : 1))
    .slice(0, maxStrangers);
}

/** Seeded by the feature's name, of values in order: equal data give an equal sample. */
function sampleOf(ascending: Float64Array, size: number, seed: string): readonly number[] {
  const reservoir = new Reservoir<number>(size, seed);
  for (const value of ascending) reservoir.add(value);
  return reservoir.values;
}
