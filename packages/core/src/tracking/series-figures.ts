import type { PointColumns } from '../contracts/series-store.ts';
import {
  type Moments,
  mergeMoments,
  momentsOf,
  noMoments,
  sampleVariance,
} from '../statistics/index.ts';
import type { MetricDirection } from './metric-direction.ts';

/** Where a series lies, over its points in order of step, time and arrival. */
export interface SeriesExtent {
  /** All points, those that are not finite included. */
  readonly count: number;
  readonly nanCount: number;
  readonly infiniteCount: number;
  /** The last value as it is: NaN or infinite where that is what was logged last. */
  readonly final: number;
  readonly finalStep: number;
  /** Of the finite values; undefined where there are none. The step is that of the first such point. */
  readonly min: number | undefined;
  readonly minStep: number | undefined;
  readonly max: number | undefined;
  readonly maxStep: number | undefined;
}

/**
 * What a series is compared by. NaN and infinities are counted, and take no part in anything but
 * `final`: they are skipped, and neither replaced nor bridged.
 */
export interface MetricFigures extends SeriesExtent {
  /** The greatest or least finite value, by direction; undefined where the direction is not known. */
  readonly best: number | undefined;
  readonly bestStep: number | undefined;
  /**
   * The least step from which on every point is finite and no farther from `best` than 5 % of
   * (max − min); undefined where the last points are not, or the direction is not known.
   */
  readonly convergenceStep: number | undefined;
  /**
   * Trapezoids between neighbouring points over step, those with an end that is not finite left out;
   * undefined where no trapezoid has a width.
   */
  readonly area: number | undefined;
  /**
   * 1 / variance (divisor n − 1) of the finite values among the last tenth of the points, rounded up and
   * at least two points; Infinity where they are all equal, undefined where fewer than two are finite.
   */
  readonly stability: number | undefined;
}

const band = 0.05;

/** Finds the extent of a series, page after page. */
export class ExtentFold {
  #count = 0;
  #nanCount = 0;
  #infiniteCount = 0;
  #final = Number.NaN;
  #finalStep = 0;
  #min: number | undefined;
  #minStep: number | undefined;
  #max: number | undefined;
  #maxStep: number | undefined;

  add({ steps, values }: PointColumns): void {
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i] as number;
      const step = steps[i] as number;
      if (Number.isNaN(value)) this.#nanCount += 1;
      else if (!Number.isFinite(value)) this.#infiniteCount += 1;
      else {
        if (this.#min === undefined || value < this.#min)
          [this.#min, this.#minStep] = [value, step];
        if (this.#max === undefined || value > this.#max)
          [this.#max, this.#maxStep] = [value, step];
      }
    }
    if (values.length === 0) return;
    this.#count += values.length;
    this.#final = values.at(-1) as number;
    this.#finalStep = steps.at(-1) as number;
  }

  /** Undefined for a series without points. */
  get extent(): SeriesExtent | undefined {
    if (this.#count === 0) return undefined;
    return {
      count: this.#count,
      nanCount: this.#nanCount,
      infiniteCount: this.#infiniteCount,
      final: this.#final,
      finalStep: this.#finalStep,
      min: this.#min,
      minStep: this.#minStep,
      max: this.#max,
      maxStep: this.#maxStep,
    };
  }
}

/** Finds, once the extent is known, the other figures of a series, page after page. */
export class FiguresFold {
  readonly #extent: SeriesExtent;
  readonly #direction: MetricDirection | undefined;
  readonly #worst: number;
  readonly #tailFrom: number;
  #seen = 0;
  #outsideStep: number | undefined;
  #convergenceStep: number | undefined;
  #area: number | undefined;
  #step = 0;
  #value = Number.NaN;
  #tail: Moments = noMoments;

  constructor(extent: SeriesExtent, direction: MetricDirection | undefined) {
    this.#extent = extent;
    this.#direction = direction;
    this.#tailFrom = extent.count - Math.max(2, Math.ceil(extent.count / 10));
    const { min = Number.NaN, max = Number.NaN } = extent;
    // Each share by itself: the difference of two large values may have no double.
    const width = band * max - band * min;
    this.#worst = direction === 'higher' ? max - width : min + width;
  }

  add({ steps, values }: PointColumns): void {
    const tail: number[] = [];
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i] as number;
      const step = steps[i] as number;
      this.#addArea(step, value);
      if (!this.#inBand(value)) {
        this.#outsideStep = step;
        this.#convergenceStep = undefined;
      } else if (this.#outsideStep !== step) this.#convergenceStep ??= step;
      if (this.#seen >= this.#tailFrom && Number.isFinite(value)) tail.push(value);
      this.#seen += 1;
    }
    if (tail.length > 0) this.#tail = mergeMoments(this.#tail, momentsOf(tail));
  }

  get figures(): MetricFigures {
    const { min, minStep, max, maxStep } = this.#extent;
    const [best, bestStep] =
      this.#direction === 'higher'
        ? [max, maxStep]
        : this.#direction === 'lower'
          ? [min, minStep]
          : [undefined, undefined];
    return {
      ...this.#extent,
      best,
      bestStep,
      convergenceStep: best === undefined ? undefined : this.#convergenceStep,
      area: this.#area,
      stability: this.#tail.count < 2 ? undefined : 1 / sampleVariance(this.#tail),
    };
  }

  #inBand(value: number): boolean {
    if (!Number.isFinite(value)) return false;
    return this.#direction === 'higher' ? value >= this.#worst : value <= this.#worst;
  }

  #addArea(step: number, value: number): void {
    const width = step - this.#step;
    const height = value / 2 + this.#value / 2;
    if (this.#seen > 0 && width > 0 && Number.isFinite(height))
      this.#area = (this.#area ?? 0) + width * height;
    this.#step = step;
    this.#value = value;
  }
}

/** The figures of a series that is wholly in memory; undefined without points. */
export function seriesFigures(
  points: PointColumns,
  direction: MetricDirection | undefined,
): MetricFigures | undefined {
  const extent = new ExtentFold();
  extent.add(points);
  if (extent.extent === undefined) return undefined;
  const figures = new FiguresFold(extent.extent, direction);
  figures.add(points);
  return figures.figures;
}
