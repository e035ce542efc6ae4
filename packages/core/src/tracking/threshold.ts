import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, type Json } from '../json.ts';

/** A bound that a metric should stay within. At least one of `above`, `below` and `notFinite` is given. */
export interface Threshold {
  readonly metric: string;
  /** Told of when a value is greater. */
  readonly above?: number;
  /** Told of when a value is less. */
  readonly below?: number;
  /** Told of when a value is NaN or infinite. */
  readonly notFinite?: boolean;
}

/** What was crossed. */
export type Bound = 'above' | 'below' | 'notFinite';

/** A bound, and how the values stand to it. */
interface Watched {
  readonly bound: Bound;
  readonly threshold: number | undefined;
  beyond: boolean;
  told: number;
}

/** One crossing: the first value beyond a bound after those within it. */
export interface Crossing {
  readonly metric: string;
  readonly bound: Bound;
  /** The bound's own value; undefined for `notFinite`. */
  readonly threshold: number | undefined;
  readonly value: number;
  /** So many were told that no more of this bound will be. */
  readonly last: boolean;
}

const maxThresholds = 100;
/** Crossings of one bound that a run tells of: a value that flutters about it says nothing new. */
const maxTold = 100;
const finite = z.number().refine(Number.isFinite, { message: 'must be a finite number' });

/** The shape of a list of thresholds. */
export const thresholdsOption: z.ZodType = z
  .array(
    z.strictObject({
      metric: z.string(),
      above: finite.optional(),
      below: finite.optional(),
      notFinite: z.boolean().optional(),
    } satisfies Record<keyof Threshold, z.ZodType>),
  )
  .max(maxThresholds);

/** Refuses, as INVALID and by name, thresholds that no metric could cross, or of no metric. */
export function assertThresholds(thresholds: readonly Threshold[]): readonly Threshold[] {
  checkOptions(z.object({ thresholds: thresholdsOption }), { thresholds }, 'Thresholds');
  for (const { metric, above, below, notFinite } of thresholds) {
    if (assertText(metric, 'The metric of a threshold', 255) === '') {
      throw new KeelsonError('INVALID', 'The metric of a threshold is empty.');
    }
    if (above === undefined && below === undefined && notFinite !== true) {
      throw new KeelsonError(
        'INVALID',
        `The threshold of ${metric} bounds nothing; give above, below or notFinite: true.`,
      );
    }
  }
  return thresholds;
}

/** Thresholds as a record keeps them. */
export function thresholdsFromJson(value: Json | undefined): readonly Threshold[] {
  return Array.isArray(value) ? (value as unknown as readonly Threshold[]) : [];
}

/** The same, to be kept. */
export function thresholdsToJson(thresholds: readonly Threshold[]): Json[] {
  return thresholds.map((threshold) => ({ ...threshold }));
}

/**
 * Watches the values of one metric against its bounds. A bound is crossed by the first value beyond it;
 * it can be crossed again once a value was within it. A value that is not finite is beyond `notFinite`
 * alone: NaN is neither above nor below anything, and leaves the other bounds as they were.
 */
export class ThresholdWatch {
  readonly #metric: string;
  readonly #bounds: readonly Watched[];

  constructor(metric: string, thresholds: readonly Threshold[]) {
    this.#metric = metric;
    this.#bounds = thresholds.flatMap(({ above, below, notFinite }) => [
      ...(above === undefined ? [] : [watched('above', above)]),
      ...(below === undefined ? [] : [watched('below', below)]),
      ...(notFinite === true ? [watched('notFinite', undefined)] : []),
    ]);
  }

  /** What this value crosses; mostly nothing. */
  look(value: number): readonly Crossing[] {
    let crossings: Crossing[] | undefined;
    for (const watched of this.#bounds) {
      const { bound, threshold } = watched;
      const beyond = isBeyond(bound, threshold, value);
      if (beyond === undefined || beyond === watched.beyond) continue;
      watched.beyond = beyond;
      if (!beyond || watched.told === maxTold) continue;
      watched.told += 1;
      crossings ??= [];
      const last = watched.told === maxTold;
      crossings.push({ metric: this.#metric, bound, threshold, value, last });
    }
    return crossings ?? none;
  }
}

const none: readonly Crossing[] = [];

function watched(bound: Bound, threshold: number | undefined): Watched {
  return { bound, threshold, beyond: false, told: 0 };
}

function isBeyond(bound: Bound, threshold: number | undefined, value: number): boolean | undefined {
  if (bound === 'notFinite') return !Number.isFinite(value);
  if (Number.isNaN(value)) return undefined;
  return bound === 'above' ? value > (threshold as number) : value < (threshold as number);
}
