import { median, quantile, sorted } from '@keelson/core/statistics';

/** One figure, with what it is compared with in the same run. */
export interface Row {
  readonly name: string;
  /** The median over the rounds. */
  readonly value: number;
  readonly unit: string;
  readonly baseline?: { readonly name: string; readonly value: number };
  /** Value ÷ baseline: the median over the rounds, each round compared within itself. */
  readonly ratio?: number;
  /** The quartiles of the value over the rounds; of a share, its confidence interval. */
  readonly spread?: readonly [low: number, high: number];
  readonly goal?: Goal;
}

/** What a figure should be. */
export interface Goal {
  readonly most?: number;
  readonly least?: number;
  readonly leastRatio?: number;
  readonly mostRatio?: number;
}

/** A goal in words, and whether the median reaches it. */
export function goalText({ goal, value, ratio }: Row): string | undefined {
  if (goal === undefined) return undefined;
  const { most, least, leastRatio, mostRatio } = goal;
  if (most !== undefined) return verdict(`≤ ${most.toLocaleString('en-US')}`, value <= most);
  if (least !== undefined) return verdict(`≥ ${least.toLocaleString('en-US')}`, value >= least);
  if (mostRatio !== undefined) {
    return verdict(`ratio ≤ ${mostRatio}`, (ratio ?? Infinity) <= mostRatio);
  }
  if (leastRatio === undefined) return undefined;
  return verdict(`ratio ≥ ${leastRatio}`, (ratio ?? 0) >= leastRatio);
}

function verdict(goal: string, reached: boolean): string {
  return `goal ${goal}: ${reached ? 'reached' : 'missed'}`;
}

/** What a figure is compared with: one value for each round, in the same unit. */
export interface Baseline {
  readonly name: string;
  readonly values: readonly number[];
}

/** The row of a figure that was taken in several rounds, its baseline in the same ones. */
export function rowOf(
  name: string,
  unit: string,
  values: readonly number[],
  baseline?: Baseline,
): Row {
  const ascending = sorted(values);
  const row: Row = {
    name,
    value: median(ascending),
    unit,
    spread: [quantile(ascending, 0.25), quantile(ascending, 0.75)],
  };
  if (baseline === undefined) return row;
  const ratios = values.map((value, round) => value / (baseline.values[round] ?? Number.NaN));
  return {
    ...row,
    baseline: { name: baseline.name, value: median(sorted(baseline.values)) },
    ratio: median(sorted(ratios)),
  };
}
