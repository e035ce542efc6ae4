import type { DriftKind } from '../../events/catalogue/alert-events.ts';
import { asJson, type JsonObject } from '../../json.ts';
import {
  type LossVerdict,
  type LossWatchState,
  lossVerdict,
  lossWatch,
  type Severity,
  seededRandom,
  type TimedLoss,
} from '../../statistics/index.ts';
import { lossesOf } from '../performance/losses.ts';
import {
  type PerformanceRow,
  type PerformanceTask,
  taskOf,
  weightOf,
} from '../performance/measured-rows.ts';
import type { KeptAnalysis } from './kept-analysis.ts';

/** What is known of a deployment's losses. Plain JSON: kept in a record, and gone on with by any process. */
export type ConceptState = {
  readonly watch: LossWatchState;
  /** Decided by the rows of the first analysis where it is not told, so that losses stay comparable. */
  readonly task?: PerformanceTask;
  /** The smallest chance of having been kept that any row had so far: rows kept more often are thinned to it. */
  readonly thinTo: number;
  /** Rows that had no loss, such as text among numbers. */
  readonly unusable: number;
};

/** A labelled answer, at the time of its request. */
export interface ConceptRow {
  readonly at: number;
  readonly requestId: string;
  readonly row: PerformanceRow;
}

/** Severities by the rise of the mean loss, in deviations of the reference's losses. */
const bands: readonly (readonly [from: number, severity: Severity])[] = [
  [0.86, 'CRITICAL'],
  [0.5, 'HIGH'],
  [0.25, 'MEDIUM'],
  [0, 'LOW'],
];

/** Nothing seen yet. */
export function beginConcept(): ConceptState {
  return { watch: lossWatch.init(), thinTo: 1, unusable: 0 };
}

/** The state after more rows, which must come in the order of their events; where the task is known, any cut gives the same. */
export function continueConcept(
  before: ConceptState,
  rows: readonly ConceptRow[],
  told?: PerformanceTask,
): ConceptState {
  const task = before.task ?? told ?? taskOf(rows.map(({ row }) => row));
  if (rows.length === 0 || task === undefined) return before;
  let { thinTo } = before;
  const kept = rows.filter(({ requestId, row }) => {
    // Rows that were kept for being wrong or critical would make losses look worse than they are.
    thinTo = Math.min(thinTo, 1 / weightOf(row));
    const share = thinTo * weightOf(row);
    return share >= 1 || seededRandom(`thin ${requestId}`).uniform() < share;
  });
  const losses = lossesOf(
    kept.map(({ row }) => row),
    { task },
  );
  const timed = kept.flatMap(({ at }, i): TimedLoss[] => {
    const loss = losses[i] as number;
    return Number.isNaN(loss) ? [] : [{ at, loss }];
  });
  const unusable = before.unusable + kept.length - timed.length;
  return { watch: lossWatch.update(before.watch, timed), task, thinTo, unusable };
}

/** What a state says, as an analysis. */
export function conceptAnalysis(
  state: ConceptState,
): Pick<
  KeptAnalysis,
  | 'outcome'
  | 'method'
  | 'score'
  | 'detected'
  | 'severity'
  | 'features'
  | 'samples'
  | 'driftKind'
  | 'since'
  | 'notes'
  | 'details'
> {
  const verdict = lossVerdict(state.watch);
  const { reference, current, change, outcome, minimum, losses } = verdict;
  const effect = effectOf(verdict);
  const common = {
    outcome,
    method: 'detectors over losses',
    features: [],
    samples: { reference: Math.min(losses, minimum), current: current?.losses ?? 0 },
    details: asJson({ ...verdict, unusable: state.unusable }) as JsonObject,
  };
  if (reference === null || effect === undefined) {
    return { ...common, detected: false, severity: 'NONE', notes: verdict.notes };
  }
  const severity = verdict.degraded
    ? (bands.find(([from]) => effect >= from)?.[1] ?? 'LOW')
    : ('NONE' as const);
  return {
    ...common,
    score: effect,
    detected: verdict.degraded,
    severity,
    ...(verdict.degraded && verdict.kind !== 'none'
      ? { driftKind: verdict.kind.toUpperCase() as DriftKind }
      : {}),
    ...(change === null ? {} : { since: change.since }),
    notes: verdict.notes,
  };
}

function effectOf({ reference, current }: LossVerdict): number | undefined {
  if (reference === null || current === null) return undefined;
  const effect = (current.mean - reference.mean) / reference.deviation;
  return Number.isFinite(effect) ? effect : undefined;
}
