import { z } from 'zod';
import { assertList, assertObject, checkOptions } from '../../check-options.ts';
import type { Scope } from '../../contracts/scope.ts';
import { assertText } from '../../json.ts';
import { readPredictions, type StoredPrediction } from '../predictions/stored-predictions.ts';
import { estimatePerformance } from './estimated-performance.ts';
import { coverageOf } from './label-coverage.ts';
import { learnDelay } from './label-delay.ts';
import {
  appendLabels,
  type Label,
  type LabelHistory,
  type LabelledRequest,
  LabelNumbers,
  type LabelResult,
  type LowestRateSince,
  readLabels,
} from './labels.ts';
import type { PerformanceRow } from './measured-rows.ts';
import {
  type PerformanceOptions,
  performanceOf,
  type RealisedPerformance,
  rowOf,
} from './performance.ts';

/** How right the models of a workspace's deployments are. */
export interface PerformanceService {
  /**
   * Labels of requests that were predicted, named by request or by key; those of unknown requests are refused by name,
   * those of requests that sampling left out are passed over and counted, the rest counts. The first label of a request counts (`performance` may ask for the last); repeats are harmless.
   */
  logLabels(deploymentId: string, labels: readonly Label[]): Promise<LabelResult>;
  /**
   * How right each version was over a period, beside the period's majority class: every figure with its interval, by
   * segment where one is named, with the share of requests whose label is known and the delay of labels. Rows of a
   * sampled log are weighted by their chance of having been kept.
   */
  performance(deploymentId: string, options: PerformanceOptions): Promise<RealisedPerformance>;
}

/** What performance needs besides a scope. */
export interface PerformanceParts {
  /** Makes what this process has recorded readable. */
  flush(): Promise<void>;
  readonly lowestRateSince: LowestRateSince;
  /** Labels later than this after their request are not joined. */
  readonly maxDelayMs: number;
}

const dayMs = 86_400_000;

const optionsShape = z.strictObject({
  from: z.number(),
  to: z.number(),
  task: z.enum(['classification', 'regression']).optional(),
  alpha: z.number().gt(0).lt(1).optional(),
  minimumRows: z.number().int().min(1).optional(),
  threshold: z.number().min(0).max(1).optional(),
  segment: z.string().optional(),
  minimumSegmentRows: z.number().int().min(1).optional(),
  labels: z.enum(['first', 'last']).optional(),
  labelLagMs: z.number().min(0).optional(),
  at: z.number().optional(),
  estimate: z
    .union([z.literal(false), z.strictObject({ referenceMs: z.number().gt(0).optional() })])
    .optional(),
} satisfies Record<keyof PerformanceOptions, z.ZodType>);

/** {@link PerformanceService} of a scope. */
export function createPerformance(
  scope: Pick<Scope, 'series' | 'workspace' | 'clock'>,
  { flush, lowestRateSince, maxDelayMs }: PerformanceParts,
): PerformanceService {
  const numbers = new LabelNumbers();
  return {
    async logLabels(deploymentId, labels) {
      assertText(deploymentId, 'A deployment id');
      assertList(labels, 'Labels');
      for (const label of labels) assertObject(label, 'A label');
      await flush();
      return appendLabels(scope, deploymentId, labels, maxDelayMs, numbers, lowestRateSince);
    },

    async performance(deploymentId, options) {
      assertText(deploymentId, 'A deployment id');
      checkOptions(optionsShape, options, 'monitoring.performance');
      await flush();
      return realisedPerformance(scope, deploymentId, options, maxDelayMs);
    },
  };
}

/** Reads the period's requests and what is known of them, and measures. */
async function realisedPerformance(
  scope: Pick<Scope, 'series' | 'workspace' | 'clock'>,
  deploymentId: string,
  options: PerformanceOptions,
  maxDelayMs: number,
): Promise<RealisedPerformance> {
  const { from, to, labels: which = 'first', labelLagMs, estimate = {}, ...how } = options;
  const at = options.at ?? scope.clock.now();
  const [predictions, labels, delay] = await Promise.all([
    readPredictions(scope, deploymentId, { from, to }),
    readLabels(scope, deploymentId, { from, to: to + maxDelayMs + 1 }),
    labelLagMs === undefined ? learnDelay(scope, deploymentId, at) : undefined,
  ]);
  const coverage = coverageOf(
    predictions.filter(({ role }) => role === 'primary'),
    labels,
    { at, delay, labelLagMs },
  );
  const { heldFrom = Infinity } = coverage;
  const join = (rows: readonly StoredPrediction[], told: ReadonlyMap<string, LabelHistory>) =>
    joined(
      rows.filter((row) => row.at < heldFrom),
      told,
      which,
    );
  const labelled = join(predictions, labels);
  const measured = performanceOf(labelled, { from, to }, how);
  const versionId = estimate === false ? undefined : scoredVersion(predictions);
  if (estimate === false || versionId === undefined) return { ...measured, from, to, coverage };
  const before = { from: from - (estimate.referenceMs ?? 30 * dayMs), to: from };
  const earlier = await readPredictions(scope, deploymentId, before);
  const told = await readLabels(scope, deploymentId, { from: before.from, to: at + 1 });
  const rowsOf = (requests: readonly LabelledRequest[]): readonly PerformanceRow[] =>
    requests.flatMap(({ label, predictions: all }) =>
      all.flatMap((each) => (each.versionId === versionId ? [rowOf(each, label)] : [])),
    );
  const answers = predictions.flatMap((each) =>
    each.role === 'primary' && each.versionId === versionId ? [rowOf(each, null)] : [],
  );
  const found = estimatePerformance(rowsOf(join(earlier, told)), answers, rowsOf(labelled), how);
  return { ...measured, from, to, coverage, estimated: { versionId, ...found } };
}

/** The requests that have a label, in the order in which they were made. */
function joined(
  predictions: readonly StoredPrediction[],
  labels: ReadonlyMap<string, LabelHistory>,
  which: 'first' | 'last',
): readonly LabelledRequest[] {
  const byRequest = Map.groupBy(predictions, ({ requestId }) => requestId);
  return [...byRequest].flatMap(([requestId, all]): LabelledRequest[] => {
    const told = labels.get(requestId);
    if (told === undefined) return [];
    const label = which === 'first' ? told.value : told.last;
    return [{ requestId, label, observedAt: told.observedAt, predictions: all }];
  });
}

/** The version that gave most of the answers that callers saw, where it gives probabilities. */
function scoredVersion(predictions: readonly StoredPrediction[]): string | undefined {
  const counts = new Map<string, number>();
  for (const { role, versionId, probabilities, prediction } of predictions) {
    const isScored = probabilities !== undefined || isFraction(prediction);
    if (role === 'primary' && isScored) counts.set(versionId, (counts.get(versionId) ?? 0) + 1);
  }
  const sorted = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  return sorted[0]?.[0];
}

function isFraction(prediction: unknown): boolean {
  return typeof prediction === 'number' && prediction > 0 && prediction < 1;
}
