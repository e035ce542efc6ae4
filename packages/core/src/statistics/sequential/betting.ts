import type { Interval } from '../intervals/interval.ts';
import { logSumOfExp } from './e-value.ts';

/** How often an outcome in [0, 1] was seen. */
export type Outcome = { readonly value: number; readonly count: number };

/**
 * Shares of the largest allowed bet, spaced evenly in the logarithm: small ones find small effects in many
 * items, large ones big effects in few.
 */
const stakes: readonly number[] = Array.from(
  { length: 32 },
  (_, index) => 0.01 * 96 ** (index / 31),
);

/**
 * Logarithm of an e-process against "the mean is at most `mean`" for outcomes in [0, 1]: the capital of a
 * gambler who splits it over fixed stakes g and multiplies each part by 1 + g·(outcome/mean − 1)
 * (Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by betting"). It depends on how
 * often each outcome was seen, not on the order, and falls as `mean` rises; `0 < mean < 1`.
 */
export function logWealthAbove(outcomes: readonly Outcome[], mean: number): number {
  const parts = stakes.map((stake) => {
    let log = -Math.log(stakes.length);
    for (const { value, count } of outcomes) {
      if (count > 0) log += count * Math.log1p(stake * (value / mean - 1));
    }
    return log;
  });
  return logSumOfExp(parts);
}

/** The same against "the mean is at least `mean`". */
export function logWealthBelow(outcomes: readonly Outcome[], mean: number): number {
  return logWealthAbove(
    outcomes.map(({ value, count }) => ({ value: 1 - value, count })),
    1 - mean,
  );
}

/** Both sides at once: half of the capital on each. */
export function logWealthEither(outcomes: readonly Outcome[], mean: number): number {
  return logSumOfExp([logWealthAbove(outcomes, mean), logWealthBelow(outcomes, mean)]) - Math.LN2;
}

/**
 * All means that {@link logWealthEither} does not reject at level alpha: a confidence sequence. The capital is
 * convex in the mean and at most 1 at the observed mean, so the set is one interval around it.
 */
export function bettingInterval(outcomes: readonly Outcome[], alpha: number): Interval {
  let count = 0;
  let sum = 0;
  for (const outcome of outcomes) {
    count += outcome.count;
    sum += outcome.count * outcome.value;
  }
  if (count === 0) return { low: 0, high: 1 };
  const isRejected = (mean: number) => logWealthEither(outcomes, mean) >= -Math.log(alpha);
  return acceptedAround(Math.min(1, sum / count), isRejected);
}

/** The interval in [0, 1] around an accepted point whose outside is rejected, by bisection to 1e-14. */
export function acceptedAround(inside: number, isRejected: (value: number) => boolean): Interval {
  return { low: boundary(0, inside, isRejected), high: boundary(1, inside, isRejected) };
}

/** The outermost value between `outside` and `inside` that was not seen to be rejected, rounded outwards. */
function boundary(outside: number, inside: number, isRejected: (value: number) => boolean): number {
  let rejected = outside;
  let accepted = inside;
  for (let step = 0; step < 48; step += 1) {
    const middle = (rejected + accepted) / 2;
    if (middle === rejected || middle === accepted) break;
    if (isRejected(middle)) rejected = middle;
    else accepted = middle;
  }
  return rejected;
}
