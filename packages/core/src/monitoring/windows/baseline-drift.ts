import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import { KeelsonError } from '../../errors.ts';
import {
  type BinnedMethod,
  benjaminiHochberg,
  binnedDrift,
  type Category,
  type DatasetDrift,
  type DriftResult,
  datasetDrift,
  type ShareDrift,
  shareDrift,
} from '../../statistics/index.ts';
import type { Baseline, FeatureBaseline, FeatureCounts } from '../baselines/baseline.ts';
import { type CoarseReference, seasonalReference } from '../baselines/seasonal-counts.ts';
import { coarseBins, fullBins } from './coarse-bins.ts';
import type { WindowCounts } from './window-counts.ts';

/** How a window is compared with its baseline. */
export interface BaselineDriftOptions {
  /** The chance that a window without drift is said to have any, over all features; 0.05 when left out. */
  readonly alpha?: number;
  /** PSI from 500 entries on each side, chi-squared below, when left out. */
  readonly method?: BinnedMethod;
  /** Of single features. */
  readonly methods?: Readonly<Record<string, BinnedMethod>>;
  /** The smallest score that matters, by feature; that of severity LOW when left out. */
  readonly effectThresholds?: Readonly<Record<string, number>>;
  /** The same where PSI is the method, as they were learnt; those that are named above come first. */
  readonly learntThresholds?: Readonly<Record<string, number>>;
  /** How much the model relies on each feature; as the baseline has it when left out. */
  readonly importances?: Readonly<Record<string, number>>;
  /** When the window was: of a baseline with seasons it is compared with the slots that it touches. */
  readonly range?: { readonly from: number; readonly to: number };
}

/** How a window differs from its baseline. Plain JSON; computed from counts alone. */
export type BaselineDrift = {
  readonly entries: { readonly baseline: number; readonly window: number };
  /** The features; their p-values are corrected for their number. */
  readonly features: DatasetDrift;
  /** What the model answered, a question of its own. */
  readonly prediction?: DatasetDrift['features'][number];
  /** Shares of missing, infinite and mistyped entries, p corrected for their number. */
  readonly shares: readonly {
    readonly feature: string;
    readonly of: 'missing' | 'infinite' | 'mistyped';
    readonly drift: ShareDrift;
    readonly adjustedPValue: number;
    readonly detected: boolean;
  }[];
  /** Categories that have no bin in the baseline, with their counts. */
  readonly strangers: readonly {
    readonly feature: string;
    readonly categories: readonly { readonly category: Category; readonly count: number }[];
  }[];
};

const methodNames = [
  ...(['psi', 'jensen-shannon', 'kullback-leibler', 'hellinger'] as const),
  ...(['total-variation', 'largest-difference', 'chi-squared'] as const),
] as const;

const optionsShape = z.strictObject({
  alpha: z.number().gt(0).lt(1).optional(),
  method: z.enum(methodNames).optional(),
  methods: z.record(z.string(), z.enum(methodNames)).optional(),
  effectThresholds: z.record(z.string(), z.number().gt(0)).optional(),
  learntThresholds: z.record(z.string(), z.number().gt(0)).optional(),
  importances: z.record(z.string(), z.number().min(0)).optional(),
  range: z.strictObject({ from: z.number(), to: z.number() }).optional(),
} satisfies Record<keyof BaselineDriftOptions, z.ZodType>);

/** INVALID, naming the option. */
export function checkDriftOptions(options: BaselineDriftOptions): void {
  checkOptions(optionsShape, options, 'Comparing with a baseline');
}

/** PSI needs so many entries on each side. */
const psiFrom = 500;

/**
 * Compares the counts of a window with those of its baseline. The same counts give the same answer, bit for bit, however
 * they were added up. INVALID for counts of another baseline.
 */
export function baselineDrift(
  baseline: Baseline,
  window: WindowCounts,
  options: BaselineDriftOptions = {},
): BaselineDrift {
  checkDriftOptions(options);
  const { range } = options;
  const seasonal = range && seasonalReference(baseline, range);
  return driftAgainst(baseline, window, options, seasonal && { ...seasonal, least: psiFrom });
}

/**
 * The same, against other counts in the coarse bins of the baseline, such as those of a segment; where they have fewer than
 * `least` entries the whole baseline is compared with.
 */
export function driftAgainst(
  baseline: Baseline,
  window: WindowCounts,
  options: BaselineDriftOptions,
  reference: (CoarseReference & { readonly least: number }) | undefined,
): BaselineDrift {
  const { alpha = 0.05, importances = baseline.importances ?? {} } = options;
  assertFits(baseline, window);
  const pairs = baseline.features.map((was, i) => ({
    was,
    is: window.features[i] as FeatureCounts,
  }));
  // Where too little was seen it says nothing.
  const chosen = (counts: readonly number[] | undefined): readonly number[] | undefined =>
    counts !== undefined && total(counts) >= (reference?.least ?? 0) ? counts : undefined;
  const features = datasetDrift(
    pairs.map(({ was, is }, place) => ({
      feature: was.feature,
      result: resultOf(was, is, options, chosen(reference?.feature(place))),
      ...(Object.hasOwn(importances, was.feature)
        ? { importance: importances[was.feature] as number }
        : {}),
    })),
    alpha,
  );
  const { prediction: answers } = baseline;
  const prediction =
    answers === undefined || window.prediction === undefined
      ? undefined
      : datasetDrift(
          [
            {
              feature: answers.feature,
              result: resultOf(answers, window.prediction, options, chosen(reference?.prediction)),
            },
          ],
          alpha,
        ).features[0];
  return {
    entries: { baseline: baseline.rows, window: window.requests },
    features,
    ...(prediction === undefined ? {} : { prediction }),
    shares: sharesOf(pairs, alpha),
    strangers: pairs.flatMap(({ was, is }) =>
      is.strangers === undefined || is.strangers.length === 0
        ? []
        : [{ feature: was.feature, categories: is.strangers }],
    ),
  };
}

function resultOf(
  was: FeatureBaseline,
  is: FeatureCounts,
  { alpha, method, methods = {}, ...thresholds }: BaselineDriftOptions,
  instead: readonly number[] | undefined,
): DriftResult {
  const [whole, current] = coarseBins(was, is);
  const reference = instead ?? whole;
  const [n, m] = [total(reference), total(current)];
  const usual = n >= psiFrom && m >= psiFrom ? 'psi' : 'chi-squared';
  const chosen = Object.hasOwn(methods, was.feature) ? methods[was.feature] : method;
  const used = chosen ?? usual;
  const [before, now] =
    used === 'chi-squared' ? fullBins(was.type, reference, current) : [reference, current];
  return binnedDrift(used, before, now, {
    ...(alpha === undefined ? {} : { alpha }),
    ...effectOf(was.feature, used, thresholds),
  });
}

function effectOf(
  feature: string,
  method: BinnedMethod,
  { effectThresholds = {}, learntThresholds = {} }: BaselineDriftOptions,
): { readonly effectThreshold?: number } {
  const learnt = method === 'psi' ? learntThresholds : {};
  const [given] = [effectThresholds, learnt].flatMap((each) =>
    Object.hasOwn(each, feature) ? (each[feature] ?? []) : [],
  );
  return given === undefined ? {} : { effectThreshold: given };
}

function sharesOf(
  pairs: readonly { readonly was: FeatureBaseline; readonly is: FeatureCounts }[],
  alpha: number,
): BaselineDrift['shares'] {
  const all = pairs.flatMap(({ was, is }) =>
    (['missing', 'infinite', 'mistyped'] as const).map((of) => ({
      feature: was.feature,
      of,
      drift: shareDrift(
        { successes: was[of], trials: entriesOf(was) },
        { successes: is[of], trials: entriesOf(is) },
        alpha,
      ),
    })),
  );
  const adjusted = benjaminiHochberg(all.map(({ drift }) => drift.pValue ?? 1));
  return all.map((share, i) => {
    const adjustedPValue = adjusted[i] ?? 1;
    return { ...share, adjustedPValue, detected: share.drift.detected && adjustedPValue <= alpha };
  });
}

function entriesOf({ counts, missing, infinite, mistyped }: FeatureCounts): number {
  return total(counts) + missing + infinite + mistyped;
}

/** INVALID for counts of another baseline. */
export function assertFits(baseline: Baseline, window: WindowCounts): void {
  const fits =
    baseline.features.length === window.features.length &&
    baseline.features.every(({ counts }, i) => counts.length === window.features[i]?.counts.length);
  if (fits) return;
  throw new KeelsonError(
    'INVALID',
    'The window was counted in the bins of another baseline; count it in those of this one.',
  );
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
