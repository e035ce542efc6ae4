import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LatencyHistogram } from './latency-histogram.ts';

test('quantiles are within 1.6 % of the exact ones, whatever was recorded, added up or not', () => {
  const latency = fc.double({ min: 0.001, max: 4_000_000, noNaN: true });
  fc.assert(
    fc.property(
      fc.array(latency, { minLength: 1, maxLength: 200 }),
      fc.constantFrom(0.01, 0.5, 0.95, 0.99, 1),
      (values, q) => {
        const one = new LatencyHistogram();
        const other = new LatencyHistogram();
        for (const [i, value] of values.entries()) (i % 2 === 0 ? one : other).record(value);
        one.add(other);
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(q * values.length) - 1)] as number;
        expect(one.count).toBe(values.length);
        expect(one.maxMs).toBe(sorted.at(-1));
        expect(Math.abs(one.quantileMs(q) - exact) / exact).toBeLessThan(0.016);
      },
    ),
  );
});

test('takes any number without breaking', () => {
  const histogram = new LatencyHistogram();
  for (const value of [0, -1, Number.NaN, 1e12]) histogram.record(value);
  expect(histogram.count).toBe(4);
  histogram.clear();
  expect(histogram.count).toBe(0);
  expect(histogram.quantileMs(0.99)).toBe(0);
});
