import { normalTwoSided } from '../distributions/normal.ts';
import { monotonicTrend, theilSenSlope } from '../trend/trend.ts';
import { type KindOfDrift, kindOfDrift } from './drift-kind.ts';
import type { LossBlock } from './loss-blocks.ts';
import type { FoundChange, LossChange, LossDetector, LossWatchState } from './loss-watch.ts';

/** What the losses so far say. Plain JSON. */
export type LossVerdict = {
  /** `not-enough-data` during the warm-up. */
  readonly outcome: 'measured' | 'not-enough-data';
  readonly losses: number;
  /** Losses that the warm-up needs. */
  readonly minimum: number;
  /** Mean loss of the warm-up, and of the losses since the change, or of the last tenth (100 at least) without one. */
  readonly reference: { readonly mean: number; readonly deviation: number } | null;
  readonly current: { readonly mean: number; readonly losses: number } | null;
  /** Enough detectors agree that losses have risen. */
  readonly degraded: boolean;
  readonly change: LossChange | null;
  /** What each detector found last, and how often it found anything. */
  readonly finds: readonly FoundChange[];
  readonly counts: Readonly<Partial<Record<LossDetector, number>>>;
  /** Mann–Kendall's test and Theil–Sen's slope over the blocks; null for fewer than 8. Autocorrelation makes p too small. */
  readonly trend: {
    readonly slopePerDay: number;
    readonly pValue: number;
    readonly tau: number;
  } | null;
  /** Told where there is a change, or has been one. */
  readonly kind: KindOfDrift['kind'];
  readonly notes: readonly string[];
};

const dayMs = 86_400_000;

/** Says what the detectors have found. The same state gives the same verdict, bit for bit. */
export function lossVerdict(state: LossWatchState): LossVerdict {
  const { count, options, reference, change, finds, counts } = state;
  const full = state.blocks.list.filter((block) => block.count === state.blocks.size);
  const common = { losses: count, minimum: options.warmUp, change, finds, counts };
  if (reference === null) {
    return {
      ...{ outcome: 'not-enough-data', ...common, reference: null, current: null },
      ...{ degraded: false, trend: null, kind: 'none', notes: [] },
    };
  }
  const shape = shapeOf(full, change, finds);
  return {
    outcome: 'measured',
    ...common,
    reference: { mean: reference.mean, deviation: reference.deviation },
    current: currentOf(state.blocks.list, change, count),
    degraded: change?.direction === 'up',
    trend: trendOf(full),
    kind: shape.kind,
    notes: shape.notes,
  };
}

function shapeOf(
  full: readonly LossBlock[],
  change: LossChange | null,
  finds: readonly FoundChange[],
): Pick<KindOfDrift, 'kind' | 'notes'> {
  // Without a find the shape is that of chance.
  if (change === null && finds.length === 0) return { kind: 'none', notes: [] };
  return kindOfDrift(
    full.map(({ mean, count, squares }) => ({
      mean,
      count,
      deviation: Math.sqrt(squares / count),
    })),
  );
}

function currentOf(
  blocks: readonly LossBlock[],
  change: LossChange | null,
  count: number,
): LossVerdict['current'] {
  const wanted = Math.max(100, count / 10);
  let [losses, sum] = [0, 0];
  for (const block of blocks.toReversed()) {
    const isOld = change === null ? losses >= wanted : losses > 0 && block.at < change.since;
    if (isOld) break;
    losses += block.count;
    sum += block.count * block.mean;
  }
  return losses === 0 ? null : { mean: sum / losses, losses };
}

function trendOf(full: readonly LossBlock[]): LossVerdict['trend'] {
  const [first, last] = [full[0], full.at(-1)];
  if (full.length < 8 || first === undefined || last === undefined) return null;
  const means = full.map(({ mean }) => mean);
  const { z, tau } = monotonicTrend(means);
  const stepMs = (last.at - first.at) / (full.length - 1);
  const slope = theilSenSlope(means);
  const pValue = normalTwoSided(Number.isFinite(z) ? z : 0);
  return { slopePerDay: stepMs > 0 ? (slope * dayMs) / stepMs : 0, pValue, tau };
}
