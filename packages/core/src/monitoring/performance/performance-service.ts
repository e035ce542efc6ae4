import { z } from 'zod';
import { assertList, assertObject, checkOptions } from '../../check-options.ts';
import type { Scope } from '../../contracts/scope.ts';
import { assertText } from '../../json.ts';
import { readPredictions, type StoredPrediction } from '../predictions/stored-predictions.ts';
import { performanceOverTime } from '../reports/performance-over-time.ts';
import { type PerformanceReport, reportOf } from '../reports/performance-report.ts';
import { type BusinessMetric, businessMetrics } from './business-metrics.ts';
import {
  appendOutcomes,
  type Outcome,
  type OutcomeResult,
  readOutcomes,
} from './business-outcomes.ts';
import { type ComparedRow, type Comparison, compareRows } from './compare-versions.ts';
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
import { type MeasureOptions, measureRows, type PerformanceRow } from './measured-rows.ts';
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
  /** The same as a report: data, Markdown, or one HTML page with plots. */
  performanceReport(
    deploymentId: string,
    options: PerformanceOptions & { readonly title?: string },
  ): Promise<PerformanceReport>;
  /**
   * Versions or arms side by side: errors, latency and every figure of those whose label is known, each held against the
   * baseline's with an interval of the difference and a test, by the requests that both answered where there are enough.
   * Made for a single look: gates of rollouts hold at every look.
   */
  compare(deploymentId: string, options: CompareOptions): Promise<Comparison>;
  /**
   * What came of requests, such as what they earned: named by request or by key, joined as labels are. Several of a name and
   * request add up; those of unknown requests are refused by name.
   */
  logOutcomes(deploymentId: string, outcomes: readonly Outcome[]): Promise<OutcomeResult>;
  /** What came of a period's requests, by name: of each version or arm, and what of the model it goes with. */
  businessMetrics(
    deploymentId: string,
    options: BusinessOptions,
  ): Promise<readonly BusinessMetric[]>;
}

/** What is compared, and over which requests. */
export interface CompareOptions extends MeasureOptions {
  readonly from: number;
  readonly to: number;
  /** What tells the sides apart; versions when left out. Shadows count as sides too. */
  readonly by?: ComparedBy;
  /** What others are held against; the side with most requests when left out. */
  readonly baseline?: string;
  readonly labels?: 'first' | 'last';
}

/** What tells sides apart. */
export type ComparedBy = 'versionId' | 'experimentArm' | 'segment' | 'region';

/** Of which requests. */
export interface BusinessOptions {
  readonly from: number;
  readonly to: number;
  /** Versions when left out. */
  readonly by?: ComparedBy;
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

const by = z.enum(['versionId', 'experimentArm', 'segment', 'region']).optional();

const compareShape = z.strictObject({
  from: z.number(),
  to: z.number(),
  by,
  baseline: z.string().optional(),
  labels: z.enum(['first', 'last']).optional(),
  task: z.enum(['classification', 'regression']).optional(),
  alpha: z.number().gt(0).lt(1).optional(),
  minimumRows: z.number().int().min(1).optional(),
  threshold: z.number().min(0).max(1).optional(),
} satisfies Record<keyof CompareOptions, z.ZodType>);

const businessShape = z.strictObject({
  from: z.number(),
  to: z.number(),
  by,
} satisfies Record<keyof BusinessOptions, z.ZodType>);

const reportShape = optionsShape.extend({ title: z.string().optional() });

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
      return (await realisedPerformance(scope, deploymentId, options, maxDelayMs)).performance;
    },

    async performanceReport(deploymentId, options) {
      assertText(deploymentId, 'A deployment id');
      checkOptions(reportShape, options, 'monitoring.performanceReport');
      await flush();
      const { title = 'Performance report', ...how } = options;
      const found = await realisedPerformance(scope, deploymentId, how, maxDelayMs);
      return reportOfDeployment(title, found, how);
    },

    async compare(deploymentId, options) {
      assertText(deploymentId, 'A deployment id');
      checkOptions(compareShape, options, 'monitoring.compare');
      await flush();
      const { from, to, by: side = 'versionId', labels: which = 'first', ...how } = options;
      const [predictions, labels] = await Promise.all([
        readPredictions(scope, deploymentId, { from, to }),
        readLabels(scope, deploymentId, { from, to: to + maxDelayMs + 1 }),
      ]);
      const rows = predictions.flatMap((prediction): ComparedRow[] => {
        const name = prediction[side];
        if (name === undefined) return [];
        const told = labels.get(prediction.requestId);
        const label = which === 'first' ? told?.value : told?.last;
        const row = rowOf(prediction, label ?? null);
        return [{ side: name, prediction, row, isLabelled: told !== undefined }];
      });
      return compareRows(rows, how);
    },

    async logOutcomes(deploymentId, outcomes) {
      assertText(deploymentId, 'A deployment id');
      assertList(outcomes, 'Outcomes');
      for (const outcome of outcomes) assertObject(outcome, 'An outcome');
      await flush();
      return appendOutcomes(scope, deploymentId, outcomes, maxDelayMs, numbers);
    },

    async businessMetrics(deploymentId, options) {
      assertText(deploymentId, 'A deployment id');
      checkOptions(businessShape, options, 'monitoring.businessMetrics');
      await flush();
      const { from, to, by: side = 'versionId' } = options;
      const until = { from, to: to + maxDelayMs + 1 };
      const [predictions, outcomes, labels] = await Promise.all([
        readPredictions(scope, deploymentId, { from, to }),
        readOutcomes(scope, deploymentId, until),
        readLabels(scope, deploymentId, until),
      ]);
      return businessMetrics(predictions, outcomes, labels, (prediction) => prediction[side]);
    },
  };
}

interface Realised {
  readonly performance: RealisedPerformance;
  readonly labelled: readonly LabelledRequest[];
}

function reportOfDeployment(
  title: string,
  { performance, labelled }: Realised,
  how: PerformanceOptions,
): PerformanceReport {
  const { served, versions, segments = [], coverage, estimated } = performance;
  const { task } = served ?? {};
  const rows = labelled.flatMap(({ label, predictions }) =>
    predictions.flatMap((each) =>
      each.role === 'primary' ? [{ row: rowOf(each, label), at: each.at }] : [],
    ),
  );
  return reportOf({
    ...{ format: 1, title, unlabelled: coverage.requests - coverage.labelled },
    overall: served ?? measureRows([], {}),
    versions: versions.map(({ versionId, ...measured }) => ({
      version: versionId,
      performance: measured,
    })),
    segments,
    overTime: performanceOverTime(rows, {
      ...(task === undefined ? {} : { task }),
      ...(how.alpha === undefined ? {} : { alpha: how.alpha }),
    }),
    coverage,
    ...(estimated === undefined ? {} : { estimated }),
  });
}

/** Reads the period's requests and what is known of them, and measures. */
async function realisedPerformance(
  scope: Pick<Scope, 'series' | 'workspace' | 'clock'>,
  deploymentId: string,
  options: PerformanceOptions,
  maxDelayMs: number,
): Promise<Realised> {
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
  if (estimate === false || versionId === undefined) {
    return { performance: { ...measured, from, to, coverage }, labelled };
  }
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
  const estimated = { versionId, ...found };
  return { performance: { ...measured, from, to, coverage, estimated }, labelled };
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
