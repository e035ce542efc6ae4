import { invalid, requireCount, requireFinite } from '../arguments.ts';
import { median, sorted } from '../descriptive/quantile.ts';
import { chiSquaredAbove } from '../distributions/chi-squared.ts';
import { type LevelStretch, levelsOf, rampOf } from './level-stretches.ts';

/**
 * How a level changed (Gama et al. 2014): at once (`sudden`); the old and the new one by turns until the new one stays
 * (`gradual`); through levels in between (`incremental`); to one that had been before, or there and back again for long
 * (`recurring`); for a moment (`blip`).
 */
export type DriftKind = 'none' | 'sudden' | 'gradual' | 'incremental' | 'recurring' | 'blip';

/** A stretch of values: their mean, how many they are, and their deviation (divisor n) where it is known. */
export interface KindPoint {
  readonly mean: number;
  readonly count: number;
  readonly deviation?: number;
}

/** What kind of change a series of means shows. Plain JSON. */
export type KindOfDrift = {
  readonly kind: DriftKind;
  /** The levels that it went through, as stretches of points: `from` ≤ point < `to`. */
  readonly stretches: readonly LevelStretch[];
  /** The level at the beginning, and that which lies farthest from it; null where nothing changed. */
  readonly before: number | null;
  readonly after: number | null;
  /** The point at which the change began. */
  readonly since: number | null;
  /** What the points cannot tell. */
  readonly notes: readonly string[];
};

/** A stay of at most this share of the series is short. */
const shortShare = 0.1;
/** Alternations of a gradual change are no longer than this share. */
const turnShare = 0.15;
/** A ramp is at least this share long. */
const rampShare = 0.05;

/**
 * Tells the kind of change from a series of means in equal steps of time or count, such as the mean loss of each window. It
 * says what the shape is, not whether chance could have made it: ask a detector first. Fewer than 8 points are `none`.
 * INVALID for points that are not finite.
 */
export function kindOfDrift(points: readonly KindPoint[]): KindOfDrift {
  for (const { mean, count } of points) {
    requireFinite('mean', mean);
    requireCount('count', count);
    if (count < 1) throw invalid('count', count, 'at least 1');
  }
  const n = points.length;
  const nothing: KindOfDrift = {
    ...{ kind: 'none', stretches: [], before: null, after: null, since: null, notes: [] },
  };
  if (n < 8) return nothing;
  const means = points.map(({ mean }) => mean);
  const weights = weightsOf(points);
  const stretches = levelsOf(means, weights);
  const [first] = stretches;
  if (first === undefined || stretches.length < 2) return nothing;
  const before = first.level;
  const far = stretches.reduce((most, each) =>
    Math.abs(each.level - before) > Math.abs(most.level - before) ? each : most,
  );
  const after = far.level;
  const found = { stretches, before, after, since: first.to };
  const isOld = (each: LevelStretch): boolean =>
    Math.abs(each.level - before) < Math.abs(after - before) / 3;
  const visits = visitsOf(stretches, isOld);
  const excursions = visits.filter((visit) => !visit.isOld);
  const last = visits.at(-1);
  if (last?.isOld === true) {
    const away = excursions.map(({ from, to }) => to - from);
    const isShort = away.every((length) => length <= Math.max(3, shortShare * n));
    return { ...found, kind: isShort ? 'blip' : 'recurring', notes: [] };
  }
  if (excursions.length > 1) {
    return { ...found, kind: takesTurns(visits, n) ? 'gradual' : 'recurring', notes: [] };
  }
  const ramp = rampOf(means, weights);
  const steps = stretches.length - 1;
  const isRamp =
    ramp !== undefined &&
    ramp.to - ramp.from >= Math.max(3, rampShare * n) &&
    ramp.cost + Math.log(n) < costOf(means, weights, stretches) + (steps - 1) * 2 * Math.log(n);
  if (!isRamp) return { ...found, kind: steps === 1 ? 'sudden' : stepsKind(stretches), notes: [] };
  return { ...found, since: ramp.from, ...rampKind(points, weights, ramp) };
}

/** One over the variance of each mean. */
function weightsOf(points: readonly KindPoint[]): readonly number[] {
  const known = points.filter(({ deviation, count }) => deviation !== undefined && count > 1);
  let variance = 0;
  if (known.length === points.length) {
    let [sum, count] = [0, 0];
    for (const each of known) {
      sum += each.count * (each.deviation as number) ** 2;
      count += each.count - 1;
    }
    variance = sum / count;
  } else {
    // From one point to the next only chance moves most means: of normal steps the median is 0.954 deviations.
    const steps = points.slice(1).map(({ mean, count }, i) => {
      const other = points[i] as KindPoint;
      return Math.abs(mean - other.mean) / Math.sqrt(1 / count + 1 / other.count);
    });
    variance = (median(sorted(steps)) / 0.6744897501960817) ** 2;
  }
  const scale = Math.max(...points.map(({ mean }) => Math.abs(mean)), 1e-300);
  const floor = (1e-9 * scale) ** 2;
  return points.map(({ count }) => count / Math.max(variance, floor));
}

interface Visit {
  readonly isOld: boolean;
  readonly from: number;
  readonly to: number;
}

/** Stretches of the old level and of others, joined where they follow each other. */
function visitsOf(
  stretches: readonly LevelStretch[],
  isOld: (each: LevelStretch) => boolean,
): readonly Visit[] {
  const visits: Visit[] = [];
  for (const each of stretches) {
    const last = visits.at(-1);
    const old = isOld(each);
    if (last?.isOld === old) visits[visits.length - 1] = { ...last, to: each.to };
    else visits.push({ isOld: old, from: each.from, to: each.to });
  }
  return visits;
}

/** Whether stays between the first and the last are short, and those at the old level become rarer. */
function takesTurns(visits: readonly Visit[], n: number): boolean {
  const turns = visits.slice(1, -1);
  const longest = Math.max(3, turnShare * n);
  if (turns.some(({ from, to }) => to - from > longest)) return false;
  const [begin, end] = [turns[0]?.from ?? 0, turns.at(-1)?.to ?? 0];
  const middle = (begin + end) / 2;
  const newBefore = (low: number, high: number): number => {
    const away = turns.filter(({ isOld }) => !isOld);
    const length = away.reduce(
      (sum, { from, to }) => sum + Math.max(0, Math.min(to, high) - Math.max(from, low)),
      0,
    );
    return length / (high - low || 1);
  };
  const last = visits.at(-1) as Visit;
  return last.to - last.from > longest / 3 || newBefore(middle, end) >= newBefore(begin, middle);
}

/** Several steps that no ramp describes: the way of most of them. */
function stepsKind(stretches: readonly LevelStretch[]): DriftKind {
  const [first, last] = [stretches[0] as LevelStretch, stretches.at(-1) as LevelStretch];
  const total = Math.abs(last.level - first.level);
  const largest = Math.max(
    ...stretches.slice(1).map((each, i) => Math.abs(each.level - (stretches[i]?.level ?? 0))),
  );
  return largest >= 0.6 * total ? 'sudden' : 'incremental';
}

function costOf(
  means: readonly number[],
  weights: readonly number[],
  stretches: readonly LevelStretch[],
): number {
  let cost = 0;
  for (const { from, to, level } of stretches) {
    for (let i = from; i < to; i += 1) {
      cost += (weights[i] as number) * ((means[i] as number) - level) ** 2;
    }
  }
  return cost;
}

/** Between two levels: by turns, or through what lies between. */
function rampKind(
  points: readonly KindPoint[],
  weights: readonly number[],
  ramp: NonNullable<ReturnType<typeof rampOf>>,
): Pick<KindOfDrift, 'kind' | 'notes'> {
  const height = ramp.after - ramp.before;
  let [misfit, mixed, spread, places] = [0, 0, 0, 0];
  const [old, fresh] = [
    meanVariance(points.slice(0, ramp.from)),
    meanVariance(points.slice(ramp.to)),
  ];
  for (let i = ramp.from; i < ramp.to; i += 1) {
    const { mean, count, deviation } = points[i] as KindPoint;
    const share = Math.min(1, Math.max(0, (i - ramp.from + 1) / (ramp.to - ramp.from + 1)));
    misfit += (weights[i] as number) * (mean - ramp.before - share * height) ** 2;
    places += 1;
    if (deviation === undefined || old === undefined || fresh === undefined) continue;
    // A mixture of both levels spreads more than what lies between them.
    mixed += count * (deviation ** 2 - (1 - share) * old - share * fresh);
    spread += count * share * (1 - share) * height ** 2;
  }
  const isUneven = places > 2 && chiSquaredAbove(misfit, places - 1) < 1e-3;
  if (isUneven) return { kind: 'gradual', notes: [] };
  if (spread === 0 || isRightOrWrong(points)) {
    return {
      kind: 'incremental',
      notes: ['Shares alone do not tell a gradual change from an incremental one.'],
    };
  }
  return { kind: mixed / spread > 0.5 ? 'gradual' : 'incremental', notes: [] };
}

function meanVariance(points: readonly KindPoint[]): number | undefined {
  let [sum, count] = [0, 0];
  for (const each of points) {
    if (each.deviation === undefined) return undefined;
    sum += each.count * each.deviation ** 2;
    count += each.count;
  }
  return count > 0 ? sum / count : undefined;
}

/** Whether the deviations are those of shares: of zeros and ones. */
function isRightOrWrong(points: readonly KindPoint[]): boolean {
  return points.every(
    ({ mean, deviation }) =>
      deviation !== undefined && Math.abs(deviation ** 2 - mean * (1 - mean)) <= 1e-9,
  );
}
