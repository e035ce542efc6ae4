import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import {
  benjaminiHochberg,
  binomialAtLeast,
  type Severity,
  shareDrift,
} from '../../statistics/index.ts';
import type { Baseline, FeatureBaseline, FeatureCounts } from '../baselines/baseline.ts';
import { assertFits } from './baseline-drift.ts';
import type { WindowCounts } from './window-counts.ts';

/** What can be wrong with data. */
export type QualityCheck =
  | 'missing'
  /** ±Infinity among numbers. */
  | 'infinite'
  /** Text among numbers, lists and objects anywhere. */
  | 'wrong-type'
  /** Below the lowest or above the highest value of the baseline. */
  | 'out-of-range'
  | 'new-category'
  /** Nothing but one value, where there were several. */
  | 'constant'
  | 'invalid-requests';

/** How data are checked. */
export interface DataQualityOptions {
  /** The chance that a window as the baseline is found wanting, over all checks; 0.05 when left out. */
  readonly alpha?: number;
  /** The smallest change of a share that matters; 0.02, and 0.01 for `invalid-requests`, when left out. */
  readonly effectThresholds?: Readonly<Partial<Record<QualityCheck, number>>>;
}

/** One check of a feature, or of requests. Plain JSON. */
export type QualityFinding = {
  /** Missing where it is of requests. */
  readonly feature?: string;
  readonly check: QualityCheck;
  readonly outcome: 'measured' | 'not-enough-data';
  /** Shares of entries, from 0 to 1; of `constant`, of the most frequent value's bin. */
  readonly was: number | null;
  readonly is: number | null;
  readonly entries: { readonly baseline: number; readonly window: number };
  readonly effectThreshold: number;
  /** Corrected for the number of checks. */
  readonly adjustedPValue: number | null;
  readonly detected: boolean;
  readonly severity: Severity;
};

/** How good the data of a window are. Plain JSON. */
export type DataQuality = {
  readonly type: 'DATA_QUALITY';
  /** The worst first. */
  readonly findings: readonly QualityFinding[];
  readonly detected: boolean;
  readonly severity: Severity;
  readonly affectedFeatures: readonly string[];
  readonly alpha: number;
};

const checks = [
  ...(['missing', 'infinite', 'wrong-type', 'out-of-range', 'new-category'] as const),
  ...(['constant', 'invalid-requests'] as const),
] as const;

const shape = z.strictObject({
  alpha: z.number().gt(0).lt(1).optional(),
  effectThresholds: z.partialRecord(z.enum(checks), z.number().gt(0).max(1)).optional(),
} satisfies Record<keyof DataQualityOptions, z.ZodType>);

/** INVALID, naming the option. */
export function checkQualityOptions(options: DataQualityOptions): void {
  checkOptions(shape, options, 'A check of data quality');
}

/** Fewer entries on a side say nothing. */
const minimumEntries = 20;
/** Changes of shares from which on they are that severe. */
const bands: readonly (readonly [number, Severity])[] = [
  [0.5, 'CRITICAL'],
  [0.2, 'HIGH'],
  [0.05, 'MEDIUM'],
  [0, 'LOW'],
];
const ranks: readonly Severity[] = ['CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'NONE'];

interface Measured {
  readonly feature?: string;
  readonly check: QualityCheck;
  readonly was: number | null;
  readonly is: number | null;
  readonly entries: { readonly baseline: number; readonly window: number };
  readonly pValue: number | null;
  readonly effect: number;
}

/**
 * Checks what was counted of a window against its baseline: each check finds something only where the change matters (the
 * effect threshold) and is beyond chance for both sizes. Equal counts give equal answers. INVALID for counts of another
 * baseline.
 */
export function dataQuality(
  baseline: Baseline,
  window: WindowCounts,
  requests: { readonly answered: number; readonly invalid: number },
  options: DataQualityOptions = {},
): DataQuality {
  checkQualityOptions(options);
  assertFits(baseline, window);
  const { alpha = 0.05, effectThresholds = {} } = options;
  const effectOf = (check: QualityCheck): number =>
    effectThresholds[check] ?? (check === 'invalid-requests' ? 0.01 : 0.02);
  const measured = [
    ...baseline.features.flatMap((was, i) =>
      checksOf(was, window.features[i] as FeatureCounts, alpha),
    ),
    invalidRequests(requests, effectOf('invalid-requests')),
  ];
  const adjusted = benjaminiHochberg(measured.map(({ pValue }) => pValue ?? 1));
  const findings = measured.map(({ pValue, effect, ...found }, i): QualityFinding => {
    const effectThreshold = effectOf(found.check);
    const adjustedPValue = pValue === null ? null : (adjusted[i] ?? 1);
    const detected =
      adjustedPValue !== null && adjustedPValue <= alpha && effect >= effectThreshold;
    const severity = detected ? (bands.find(([from]) => effect >= from)?.[1] ?? 'LOW') : 'NONE';
    const outcome = pValue === null ? 'not-enough-data' : 'measured';
    return { ...found, outcome, effectThreshold, adjustedPValue, detected, severity };
  });
  const ordered = findings.toSorted(
    (a, b) => ranks.indexOf(a.severity) - ranks.indexOf(b.severity) || changeOf(b) - changeOf(a),
  );
  const detected = ordered.filter((finding) => finding.detected);
  return {
    type: 'DATA_QUALITY',
    findings: ordered,
    detected: detected.length > 0,
    severity: detected[0]?.severity ?? 'NONE',
    affectedFeatures: [...new Set(detected.flatMap(({ feature }) => feature ?? []))],
    alpha,
  };
}

function changeOf({ was, is }: QualityFinding): number {
  return Math.abs((is ?? 0) - (was ?? 0));
}

function checksOf(was: FeatureBaseline, is: FeatureCounts, alpha: number): readonly Measured[] {
  const { feature } = was;
  const share = (check: QualityCheck, before: number, now: number): Measured =>
    comparedShares({ feature, check }, [before, entriesOf(was)], [now, entriesOf(is)], alpha);
  return [
    share('missing', was.missing, is.missing),
    share('wrong-type', was.mistyped, is.mistyped),
    ...(was.type === 'number'
      ? [share('infinite', was.infinite, is.infinite), share('out-of-range', 0, is.outside ?? 0)]
      : [share('new-category', was.counts.at(-1) ?? 0, is.counts.at(-1) ?? 0)]),
    ...constant(was, is),
  ];
}

function comparedShares(
  of: Pick<Measured, 'feature' | 'check'>,
  [before, n]: readonly [number, number],
  [now, m]: readonly [number, number],
  alpha: number,
): Measured {
  const entries = { baseline: n, window: m };
  if (n < minimumEntries || m < minimumEntries) {
    const [was, is] = [n === 0 ? null : before / n, m === 0 ? null : now / m];
    return { ...of, was, is, entries, pValue: null, effect: 0 };
  }
  const { pValue } = shareDrift(
    { successes: before, trials: n },
    { successes: now, trials: m },
    alpha,
  );
  const [was, is] = [before / n, now / m];
  return { ...of, was, is, entries, pValue, effect: Math.abs(is - was) };
}

/** A feature that had several values and has one; by chance as likely as that all fall in its fullest bin. */
function constant(was: FeatureBaseline, is: FeatureCounts): readonly Measured[] {
  const [n, m] = [total(was.counts), total(is.counts)];
  const fullest = Math.max(0, ...was.counts) / Math.max(1, n);
  const of = {
    feature: was.feature,
    check: 'constant',
    entries: { baseline: n, window: m },
  } as const;
  if (n < minimumEntries || m < minimumEntries) {
    return [{ ...of, was: null, is: null, pValue: null, effect: 0 }];
  }
  // One that was constant before is as it was.
  if (isConstant(was)) return [];
  const only = isConstant(is);
  const share = Math.max(0, ...is.counts) / m;
  return [
    {
      ...of,
      was: fullest,
      is: share,
      pValue: only ? fullest ** m : 1,
      effect: only ? 1 - fullest : 0,
    },
  ];
}

function isConstant({ counts, moments, strangers = [] }: FeatureCounts): boolean {
  if (moments !== undefined) return moments.low === moments.high;
  const used = counts.filter((count) => count > 0).length;
  const inLast = (counts.at(-1) ?? 0) > 0;
  return used === 1 && (!inLast || strangers.length <= 1);
}

/** Nothing is known of before: the share must be beyond its threshold beyond chance. */
function invalidRequests(
  { answered, invalid }: { readonly answered: number; readonly invalid: number },
  threshold: number,
): Measured {
  const trials = answered + invalid;
  const of = {
    check: 'invalid-requests',
    was: null,
    entries: { baseline: 0, window: trials },
  } as const;
  if (trials < minimumEntries) {
    return { ...of, is: trials === 0 ? null : invalid / trials, pValue: null, effect: 0 };
  }
  const share = invalid / trials;
  return { ...of, is: share, pValue: binomialAtLeast(invalid, trials, threshold), effect: share };
}

function entriesOf({ counts, missing, infinite, mistyped }: FeatureCounts): number {
  return total(counts) + missing + infinite + mistyped;
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
