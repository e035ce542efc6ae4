import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import {
  momentsOf,
  type PrincipalComponents,
  populationDeviation,
  principalComponents,
  RunningCovariance,
  reconstructionError,
  type Severity,
} from '../../statistics/index.ts';
import {
  assertTable,
  columnNames,
  type DataTable,
  dataColumns,
  rowCount,
} from '../data-columns.ts';
import { type ColumnCode, codeOf, encodeColumn } from './encode-rows.ts';
import { RowHashes } from './row-sample.ts';

/** How features vary together in a reference. Plain JSON: nothing of its rows is needed afterwards. */
export type MultivariateBaseline = {
  readonly format: 1;
  /** Rows that it was learnt from. */
  readonly rows: number;
  readonly codes: readonly ColumnCode[];
  readonly components: PrincipalComponents;
  /** What is lost of a row when it is seen through the components: mean and deviation over the rows. */
  readonly error: { readonly mean: number; readonly deviation: number };
  /** The same of ten chunks: their size, and the deviation of their means. */
  readonly chunks: { readonly size: number; readonly deviation: number };
  /** Of each feature, the mean of what is lost of it, squared. */
  readonly losses: readonly number[];
};

/** How features are chosen. */
export interface MultivariateOptions {
  /** All that can be used when left out; 100 at most. */
  readonly columns?: readonly string[];
  readonly except?: readonly string[];
  /** The share of all variance that the components keep; 0.65 when left out. */
  readonly keep?: number;
  /** More rows than this are sampled, the same ones of equal rows in any order; 20,000 when left out. */
  readonly sample?: number;
  /** `order`: chunks are of rows in their order, such as of time. `any` (when left out): in whatever order they come, the answer is the same. */
  readonly chunksBy?: 'any' | 'order';
}

/** Whether features still vary together as they did. Plain JSON. */
export type MultivariateDrift = {
  readonly outcome: 'measured' | 'not-enough-data';
  /** The mean of what is lost of the rows; null without enough of them. */
  readonly score: number | null;
  /** In the reference, and beyond which on either side there is drift: mean ± 3 deviations of its chunks. */
  readonly usual: number;
  readonly low: number;
  readonly high: number;
  readonly detected: boolean;
  /** By the change of the score, as a share of the usual one: from 5 % LOW, 15 % MEDIUM, 30 % HIGH, 60 % CRITICAL. */
  readonly severity: Severity;
  /** What of the change is each feature's, the most first; those with less than a hundredth are left out. */
  readonly features: readonly { readonly feature: string; readonly share: number }[];
  readonly rows: { readonly reference: number; readonly current: number };
  /** Rows needed on each side. */
  readonly minimum: number;
};

const chunkCount = 10;
const deviations = 3;
const mostColumns = 100;
const bands: readonly (readonly [from: number, severity: Severity])[] = [
  [0.6, 'CRITICAL'],
  [0.3, 'HIGH'],
  [0.15, 'MEDIUM'],
  [0.05, 'LOW'],
];

const optionsShape = z.strictObject({
  columns: z.array(z.string()).optional(),
  except: z.array(z.string()).optional(),
  keep: z.number().gt(0).lt(1).optional(),
  sample: z.number().int().min(100).optional(),
  chunksBy: z.enum(['any', 'order']).optional(),
} satisfies Record<keyof MultivariateOptions, z.ZodType>);

/**
 * Learns how the features of a reference vary together (as NannyML's PCA reconstruction: missing values are the mean, categories their
 * share, all standardised; the fewest components that keep 65 % of the variance). Undefined where there are fewer than
 * two features that vary, or fewer rows than ten for each (100 at least). INVALID for what is no table.
 */
export function multivariateBaseline(
  table: DataTable,
  options: MultivariateOptions = {},
): MultivariateBaseline | undefined {
  assertTable(table, 'the reference');
  checkOptions(optionsShape, options, 'A multivariate baseline');
  const rows = rowCount(table, 'the reference');
  const { columns, except = [] } = options;
  const names = (columns ?? columnNames(table)).filter((name) => !except.includes(name));
  const codes = [...dataColumns(table, names, rows)].flatMap(
    ([name, column]) => codeOf(name, column) ?? [],
  );
  return fitMultivariate(table, rows, codes, options);
}

/** The same, of columns whose codes are known already. */
export function fitMultivariate(
  table: DataTable,
  rows: number,
  all: readonly ColumnCode[],
  options: MultivariateOptions = {},
): MultivariateBaseline | undefined {
  const { keep = 0.65, chunksBy = 'any' } = options;
  const codes = all.filter(({ deviation }) => deviation > 0).slice(0, mostColumns);
  if (codes.length < 2 || rows < minimumRows(codes.length)) return undefined;
  const encoded = rowsOf(codes, table, rows, options);
  const covariance = new RunningCovariance(codes.length);
  for (const row of encoded) covariance.add(row);
  const components = principalComponents(covariance.sums, keep);
  const { errors, losses } = errorsOf(components, encoded);
  const size = Math.floor(encoded.length / chunkCount);
  const chunks = Array.from({ length: chunkCount }, (_, i) => {
    return momentsOf(errors.subarray(i * size, (i + 1) * size)).mean;
  });
  const moments = momentsOf(errors);
  const between = populationDeviation(momentsOf(chunks));
  // Chunks that are sampled by their content vary by chance alone.
  const deviation = populationDeviation(moments);
  const byChance = deviation / Math.sqrt(size);
  return {
    ...{ format: 1, rows, codes, components },
    error: { mean: moments.mean, deviation },
    chunks: { size, deviation: chunksBy === 'order' ? between : Math.max(between, byChance) },
    losses,
  };
}

/**
 * Whether rows still vary together as the reference's did: more or less is lost of them than of its chunks. Says which features carry
 * it. INVALID for what is no table.
 */
export function multivariateDrift(
  baseline: MultivariateBaseline,
  table: DataTable,
  options: { readonly weights?: readonly number[]; readonly sample?: number } = {},
): MultivariateDrift {
  assertTable(table, 'the current data');
  const { codes, components, error, chunks } = baseline;
  const rows = rowCount(table, 'the current data');
  const minimum = minimumRows(codes.length);
  const sizes = { reference: baseline.rows, current: rows };
  const threshold = (size: number) => {
    // Smaller than the reference's chunks, means vary more.
    const spread = deviations * chunks.deviation * Math.sqrt(Math.max(1, chunks.size / size));
    return { low: Math.max(0, error.mean - spread), high: error.mean + spread };
  };
  if (rows < minimum) {
    return {
      ...{ outcome: 'not-enough-data', score: null, usual: error.mean, ...threshold(minimum) },
      ...{ detected: false, severity: 'NONE', features: [], rows: sizes, minimum },
    };
  }
  const { weights } = options;
  const encoded =
    weights === undefined
      ? rowsOf(codes, table, rows, options)
      : rowsOf(codes, table, rows, { sample: rows, chunksBy: 'order' });
  const { errors, losses, effective } = errorsOf(components, encoded, weights);
  const score = weightedMean(errors, weights);
  const { low, high } = threshold(effective);
  const change = error.mean > 0 ? Math.abs(score - error.mean) / error.mean : score > 0 ? 1 : 0;
  const severity = bands.find(([from]) => change >= from)?.[1] ?? 'NONE';
  const detected = (score < low || score > high) && severity !== 'NONE';
  return {
    ...{ outcome: 'measured', score, usual: error.mean, low, high, detected },
    severity: detected ? severity : 'NONE',
    features: contributions(codes, baseline.losses, losses),
    ...{ rows: sizes, minimum },
  };
}

function minimumRows(columns: number): number {
  return Math.max(100, 10 * columns);
}

/**
 * The encoded rows: in their order, evenly chosen; or chosen and ordered by their content alone, so that equal rows in any order give
 * the same ones.
 */
function rowsOf(
  codes: readonly ColumnCode[],
  table: DataTable,
  rows: number,
  { sample = 20_000, chunksBy = 'any' }: MultivariateOptions,
): readonly Float64Array[] {
  if (chunksBy === 'order') {
    const places = Array.from({ length: Math.min(rows, sample) }, (_, i) =>
      rows <= sample ? i : Math.floor((i * rows) / sample),
    );
    return encodedAt(codes, table, places);
  }
  const hashes = new RowHashes(rows);
  const room = new Float64Array(rows);
  for (const code of hashedCodes(codes, rows > sample)) {
    hashes.add(encodeColumn(code, table, undefined, room));
  }
  const places = hashes.smallest(sample);
  return encodedAt(codes, table, places)
    .map((row, i) => ({ row, place: places[i] as number }))
    .sort((a, b) => hashes.compare(a.place, b.place) || compareRows(a.row, b.row))
    .slice(0, sample)
    .map(({ row }) => row);
}

/** Three columns of numbers tell most rows apart, where only a sample is wanted; rows of equal hashes are told apart by all. */
function hashedCodes(codes: readonly ColumnCode[], isSample: boolean): readonly ColumnCode[] {
  const numbers = codes.filter(({ shares }) => shares === undefined).slice(0, 3);
  return isSample && numbers.length === 3 ? numbers : codes;
}

function encodedAt(
  codes: readonly ColumnCode[],
  table: DataTable,
  places: readonly number[],
): readonly Float64Array[] {
  const columns = codes.map((code) =>
    encodeColumn(code, table, places, new Float64Array(places.length)),
  );
  return places.map((_, i) => Float64Array.from(columns, (column) => column[i] as number));
}

function compareRows(a: Float64Array, b: Float64Array): number {
  for (let k = 0; k < a.length; k += 1) {
    const gap = (a[k] as number) - (b[k] as number);
    if (gap !== 0) return gap;
  }
  return 0;
}

function errorsOf(
  components: PrincipalComponents,
  encoded: readonly Float64Array[],
  weights?: readonly number[],
): {
  readonly errors: Float64Array;
  readonly losses: readonly number[];
  readonly effective: number;
} {
  const residuals = new Float64Array(components.means.length);
  const sums = new Float64Array(residuals.length);
  const errors = new Float64Array(encoded.length);
  let [total, squares] = [0, 0];
  for (const [i, row] of encoded.entries()) {
    const weight = weights?.[i] ?? 1;
    errors[i] = reconstructionError(components, row, residuals);
    total += weight;
    squares += weight * weight;
    for (const [k, residual] of residuals.entries()) {
      sums[k] = (sums[k] as number) + weight * residual * residual;
    }
  }
  const losses = Array.from(sums, (sum) => sum / total);
  return { errors, losses, effective: (total * total) / squares };
}

function weightedMean(errors: Float64Array, weights: readonly number[] | undefined): number {
  let [sum, total] = [0, 0];
  for (const [i, error] of errors.entries()) {
    const weight = weights?.[i] ?? 1;
    sum += weight * error;
    total += weight;
  }
  return sum / total;
}

/** How much of what changed is of each feature. */
function contributions(
  codes: readonly ColumnCode[],
  before: readonly number[],
  now: readonly number[],
): MultivariateDrift['features'] {
  const changes = codes.map(({ feature }, k) => ({
    feature,
    change: Math.abs((now[k] as number) - (before[k] as number)),
  }));
  const total = changes.reduce((sum, { change }) => sum + change, 0);
  if (!(total > 0)) return [];
  return changes
    .map(({ feature, change }) => ({ feature, share: change / total }))
    .filter(({ share }) => share >= 0.01)
    .sort((a, b) => b.share - a.share || (a.feature < b.feature ? -1 : 1));
}
