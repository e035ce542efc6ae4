import { type Interval, shareFigure, type WeightSum } from '../../statistics/index.ts';
import type { StoredPrediction } from '../predictions/stored-predictions.ts';
import type { EstimatedPerformance } from './estimated-performance.ts';
import type { LabelCoverage } from './label-coverage.ts';
import type { LabelledRequest } from './labels.ts';
import {
  type MeasuredPerformance,
  type MeasureOptions,
  measureRows,
  type PerformanceRow,
  taskOf,
  weightsOf,
} from './measured-rows.ts';
import { type SegmentPerformance, segmentPerformances } from './segment-performance.ts';

/** Over which requests performance is measured, and how. */
export interface PerformanceOptions extends MeasureOptions {
  /** Requests made from this time on, and before that one, in epoch ms. */
  readonly from: number;
  readonly to: number;
  /** A feature (or `segment`, `region`, `experimentArm`) whose values cut the requests into segments that are measured one by one. */
  readonly segment?: string;
  /** Segments with fewer labels get no verdict; 30 when left out. */
  readonly minimumSegmentRows?: number;
  /** Which of several labels of one request counts; the first when left out. */
  readonly labels?: 'first' | 'last';
  /**
   * Requests that are younger are left out, since the labels that come early are not like those that come late: the
   * 95th percentile of the delays of the last 30 days when left out (nothing is held before there are 20); 0 holds nothing.
   */
  readonly labelLagMs?: number;
  /** As of when: the time of now when left out. */
  readonly at?: number;
  /**
   * Estimates as well, from probabilities, how right the version is that answered most: calibrated by its labelled answers
   * of the `referenceMs` before the period (30 days). False where that is not wanted.
   */
  readonly estimate?: false | { readonly referenceMs?: number };
}

/** How right the versions were over a period, of those requests whose label is known. */
export interface Performance {
  readonly labels: number;
  /** What always answering the period's most frequent class would have reached: known afterwards only. */
  readonly majority: { readonly label: string; readonly share: number } | undefined;
  /** The answers that callers saw, whichever version gave them. */
  readonly served: Accuracy | undefined;
  /** Each version over all the requests it scored, as primary or shadow. */
  readonly versions: readonly (Accuracy & { readonly versionId: string })[];
  /** How often each class was the label. */
  readonly classes: Readonly<Record<string, number>>;
  /** Of the answers that callers saw, worst first. */
  readonly segments?: readonly SegmentPerformance[];
}

/** {@link Performance} with how much of the truth is known. */
export interface RealisedPerformance extends Performance {
  readonly from: number;
  readonly to: number;
  readonly coverage: LabelCoverage;
  /** Of the version that answered most, where it gives probabilities. */
  readonly estimated?: EstimatedPerformance & { readonly versionId: string };
}

/** A share of right answers, with its 95 % Wilson interval; and what else the rows say. */
export interface Accuracy extends MeasuredPerformance {
  /** Rows that were answered with exactly what was the case. */
  readonly right: number;
  readonly total: number;
  /** By weight, where the log is a sample. */
  readonly accuracy: number;
  readonly interval: Interval;
}

/** Performance over requests made with from ≤ at < to. */
export function performanceOf(
  labelled: readonly LabelledRequest[],
  range: { readonly from: number; readonly to: number },
  options: Omit<PerformanceOptions, 'from' | 'to'> = {},
): Performance {
  const inRange = labelled.flatMap((request) => {
    const predictions = request.predictions.filter((p) => p.at >= range.from && p.at < range.to);
    return predictions.length === 0 ? [] : [{ ...request, predictions }];
  });
  const classes = new Map<string, number>();
  const served: { readonly row: PerformanceRow; readonly prediction: StoredPrediction }[] = [];
  const versions = new Map<string, PerformanceRow[]>();
  for (const { label, predictions } of inRange) {
    classes.set(String(label), (classes.get(String(label)) ?? 0) + 1);
    for (const prediction of predictions) {
      const row = rowOf(prediction, label);
      const all = versions.get(prediction.versionId);
      if (all === undefined) versions.set(prediction.versionId, [row]);
      else all.push(row);
      if (prediction.role === 'primary') served.push({ row, prediction });
    }
  }
  const sorted = [...classes].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  const [top] = sorted;
  const rows = served.map(({ row }) => row);
  // One task for all of them: a version that named few numbers is of the same kind as the others.
  const task = options.task ?? taskOf([...versions.values()].flat());
  const how = task === undefined ? options : { ...options, task };
  return {
    labels: inRange.length,
    majority: top && { label: top[0], share: top[1] / inRange.length },
    served: rows.length === 0 ? undefined : accuracyOf(rows, how),
    versions: [...versions].map(([versionId, all]) => ({ versionId, ...accuracyOf(all, how) })),
    classes: Object.fromEntries(sorted),
    ...(options.segment === undefined
      ? {}
      : { segments: segmentPerformances(served, options.segment, how) }),
  };
}

/** A labelled prediction as a row that can be measured. */
export function rowOf(
  prediction: StoredPrediction,
  label: PerformanceRow['actual'],
): PerformanceRow {
  const { error, probabilities, inclusionProbability } = prediction;
  return {
    actual: label,
    ...(error === undefined ? { predicted: prediction.prediction } : {}),
    ...(probabilities === undefined ? {} : { probabilities }),
    ...(inclusionProbability === undefined ? {} : { weight: 1 / inclusionProbability }),
  };
}

/** What rows say, with the share that was answered exactly. */
function accuracyOf(rows: readonly PerformanceRow[], options: MeasureOptions): Accuracy {
  const measured = measureRows(rows, options);
  const [right, wrong] = [true, false].map((wanted) =>
    weightsOf(rows.filter(({ actual, predicted }) => (predicted === actual) === wanted)),
  ) as [WeightSum, WeightSum];
  const { accuracy = shareFigure(right, wrong, options.alpha ?? 0.05) } = measured.classes ?? {};
  return {
    ...measured,
    right: right.rows,
    total: rows.length,
    accuracy: accuracy.value ?? 0,
    interval: accuracy.interval ?? { low: 0, high: 1 },
  };
}
