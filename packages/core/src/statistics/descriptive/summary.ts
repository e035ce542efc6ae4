import { momentsOf, sampleVariance } from './moments.ts';
import { type NumericSample, numericSample } from './numeric-sample.ts';
import { quantile } from './quantile.ts';

/** What there is to know of a column of numbers at a glance. Plain JSON; null where there are too few values. */
export type Summary = {
  readonly entries: number;
  readonly missing: number;
  readonly infinite: number;
  readonly distinct: number;
  readonly mean: number | null;
  /** With divisor n − 1. */
  readonly deviation: number | null;
  readonly low: number | null;
  readonly high: number | null;
  /** The 1st, 5th, 25th, 50th, 75th, 95th and 99th percentile, exact. */
  readonly quantiles: Readonly<
    Record<'p1' | 'p5' | 'p25' | 'p50' | 'p75' | 'p95' | 'p99', number>
  > | null;
};

/** Summarises a column; missing and infinite entries are counted and left out. */
export function summarise(entries: Iterable<number | null | undefined>): Summary {
  const sample = numericSample(entries);
  const { values } = sample;
  const moments = momentsOf(values);
  const at = (share: number) => quantile(values, share);
  return {
    entries: sample.entries,
    missing: sample.missing,
    infinite: sample.infinite,
    distinct: distinctValues(sample),
    mean: values.length > 0 ? moments.mean : null,
    deviation: values.length > 1 ? Math.sqrt(sampleVariance(moments)) : null,
    low: moments.low,
    high: moments.high,
    quantiles:
      values.length > 0
        ? {
            p1: at(0.01),
            p5: at(0.05),
            p25: at(0.25),
            p50: at(0.5),
            p75: at(0.75),
            p95: at(0.95),
            p99: at(0.99),
          }
        : null,
  };
}

/** How many different values a sample has. */
export function distinctValues({ values }: NumericSample): number {
  let distinct = 0;
  for (let index = 0; index < values.length; index += 1) {
    if (index === 0 || values[index] !== values[index - 1]) distinct += 1;
  }
  return distinct;
}
