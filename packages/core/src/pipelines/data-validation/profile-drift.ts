import {
  type BinnedMethod,
  benjaminiHochberg,
  type Category,
  categoricalDrift,
  type DatasetDrift,
  type DriftResult,
  datasetDrift,
  numericDrift,
  type SampleMethod,
  type Severity,
  type ShareDrift,
  shareDrift,
} from '../../statistics/index.ts';
import type { ColumnProfile, DataProfile } from './data-profile.ts';
import { type DataFinding, figure, percent, quoted } from './finding.ts';

/** How data is compared with its baseline. */
export interface DataDriftOptions {
  /** The chance that data without drift is said to have any, over all columns; 0.05 when left out. */
  readonly alpha?: number;
  /** The columns that are compared; all when left out. */
  readonly columns?: readonly string[];
  /** Columns that are not, such as dates and ids. */
  readonly except?: readonly string[];
  /** The least severity that is a finding; `LOW` when left out. */
  readonly severity?: Exclude<Severity, 'NONE'>;
  /** For columns of numbers; by type and size when left out: see `numericDrift`. */
  readonly numeric?: SampleMethod | BinnedMethod;
  /** For columns of categories; by size when left out. */
  readonly categorical?: BinnedMethod;
  /** The smallest score that matters, by column; that of severity LOW when left out. */
  readonly effectThresholds?: Readonly<Record<string, number>>;
}

/** How the data differs from its baseline. Plain JSON. */
export interface ProfileDrift {
  readonly baselineRows: number;
  readonly dataset: DatasetDrift;
  /** Shares of missing and infinite values, with p corrected for their number. */
  readonly shares: readonly {
    readonly column: string;
    readonly of: 'missing' | 'infinite';
    readonly drift: ShareDrift;
    readonly adjustedPValue: number;
    readonly detected: boolean;
  }[];
  /** Columns that one of both does not have, or that changed their type. */
  readonly columns: readonly {
    readonly column: string;
    readonly change: 'gone' | 'new' | 'type';
    readonly detail: string;
  }[];
}

const weights: Readonly<Record<Severity, number>> = {
  ...{ NONE: 0, LOW: 10, MEDIUM: 20, HIGH: 30, CRITICAL: 35 },
};
const ranks: readonly Severity[] = ['NONE', 'LOW', 'MEDIUM', 'HIGH', 'CRITICAL'];

/**
 * Compares profiles column by column on their samples, with the tests of `numericDrift` and `categoricalDrift`; p-values are
 * corrected for the number of columns, as `datasetDrift` does it, and so are those of shares.
 */
export function profileDrift(
  baseline: DataProfile,
  current: DataProfile,
  options: DataDriftOptions = {},
): ProfileDrift {
  const { alpha = 0.05 } = options;
  const [before, after] = [byName(baseline), byName(current)];
  const wanted = [...new Set([...before.keys(), ...after.keys()])].filter(
    (name) =>
      (options.columns === undefined || options.columns.includes(name)) &&
      !options.except?.includes(name),
  );
  const columns: ProfileDrift['columns'][number][] = [];
  const results: { feature: string; result: DriftResult }[] = [];
  const shares: { column: string; of: 'missing' | 'infinite'; drift: ShareDrift }[] = [];
  for (const name of wanted) {
    const [was, is] = [before.get(name), after.get(name)];
    const change = changeOf(name, was, is);
    if (change !== undefined) columns.push(change);
    if (was === undefined || is === undefined) continue;
    for (const what of ['missing', 'infinite'] as const) {
      const reference = { successes: was.profile[what], trials: baseline.rows };
      const now = { successes: is.profile[what], trials: current.rows };
      shares.push({ column: name, of: what, drift: shareDrift(reference, now, alpha) });
    }
    if (change === undefined) results.push(...measured(name, was, is, options));
  }
  const adjusted = benjaminiHochberg(shares.map(({ drift }) => drift.pValue ?? 1));
  return {
    baselineRows: baseline.rows,
    dataset: datasetDrift(results, alpha),
    shares: shares.map((each, i) => {
      const adjustedPValue = adjusted[i] ?? 1;
      return { ...each, adjustedPValue, detected: each.drift.detected && adjustedPValue <= alpha };
    }),
    columns,
  };
}

/** What of a comparison is worth telling. */
export function driftFindings(
  drift: ProfileDrift,
  options: DataDriftOptions = {},
): readonly DataFinding[] {
  const least = ranks.indexOf(options.severity ?? 'LOW');
  const moved = drift.dataset.features
    .filter(({ severity }) => severity !== 'NONE' && ranks.indexOf(severity) >= least)
    .map(({ feature, result, adjustedPValue, severity, excess }): DataFinding => {
      const score = figure(result.score ?? 0);
      const detail = `${quoted(feature)} has drifted: ${severity}, ${result.method} ${score} (${figure(result.effectThreshold)} matters), p = ${figure(adjustedPValue ?? 1)}`;
      return {
        kind: 'drift',
        column: feature,
        detail,
        weight: weights[severity] + Math.min(4, excess / 10),
      };
    });
  const shares = drift.shares
    .filter(({ detected }) => detected)
    .map(({ column, of: what, drift: { reference, current } }): DataFinding => {
      const [was, is] = [reference, current].map((each) => percent(each.successes / each.trials));
      const detail = `${is} of ${quoted(column)} are ${what}, and ${was} of the baseline`;
      return { kind: 'drift', column, detail, weight: 15 };
    });
  const changed = drift.columns.map(
    ({ column, change, detail }): DataFinding => ({
      kind: 'drift',
      column,
      detail,
      weight: change === 'new' ? 5 : 38,
    }),
  );
  return [...moved, ...shares, ...changed];
}

interface Side {
  readonly profile: ColumnProfile;
  readonly values: readonly Category[];
}

function byName({ columns, samples }: DataProfile): ReadonlyMap<string, Side> {
  const values = new Map(samples.map((each) => [each.column, each.values]));
  return new Map(
    columns.map((profile) => [
      profile.column,
      { profile, values: values.get(profile.column) ?? [] },
    ]),
  );
}

function changeOf(
  column: string,
  was: Side | undefined,
  is: Side | undefined,
): ProfileDrift['columns'][number] | undefined {
  const name = quoted(column);
  if (was === undefined) {
    return { column, change: 'new', detail: `the column ${name} is not in the baseline` };
  }
  if (is === undefined) {
    return { column, change: 'gone', detail: `the column ${name} of the baseline is not there` };
  }
  const [before, after] = [kindOf(was.profile), kindOf(is.profile)];
  if (before === after || before === 'empty' || after === 'empty') return undefined;
  return { column, change: 'type', detail: `${name} is ${after}, and ${before} in the baseline` };
}

/** What most values of a column are. */
function kindOf({ count, texts, infinite, type, min }: ColumnProfile): string {
  if (type !== 'mixed') return type;
  const numbers = min === null ? infinite : count - texts;
  return numbers >= texts ? 'number' : 'category';
}

function measured(
  feature: string,
  was: Side,
  is: Side,
  options: DataDriftOptions,
): readonly { readonly feature: string; readonly result: DriftResult }[] {
  const { alpha, effectThresholds = {} } = options;
  const threshold = Object.hasOwn(effectThresholds, feature)
    ? { effectThreshold: effectThresholds[feature] as number }
    : {};
  const common = { ...(alpha === undefined ? {} : { alpha }), ...threshold };
  if (kindOf(was.profile) === 'number') {
    const { numeric } = options;
    const how = { ...common, ...(numeric === undefined ? {} : { method: numeric }) };
    const { values } = numericDrift(was.values.filter(isNumber), is.values.filter(isNumber), how);
    return [{ feature, result: values }];
  }
  if (kindOf(was.profile) !== 'category') return [];
  const { categorical } = options;
  const how = { ...common, ...(categorical === undefined ? {} : { method: categorical }) };
  return [{ feature, result: categoricalDrift(was.values, is.values, how).values }];
}

function isNumber(value: Category): value is number {
  return typeof value === 'number';
}
