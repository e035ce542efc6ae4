import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LogLinearHistogram } from './log-linear-histogram.ts';

const latency = fc.oneof(
  fc.double({ min: 0, max: 1e-3, noNaN: true }),
  fc.double({ min: 0, max: 1e4, noNaN: true }),
  fc.double({ min: 0, max: 1e300, noNaN: true }),
  fc.constantFrom(0, 1, 2, 1024, Number.MIN_VALUE, Number.MAX_VALUE),
);
const latencies = fc.array(latency, { minLength: 1, maxLength: 60 });

function histogramOf(values: readonly number[], bits?: number): LogLinearHistogram {
  const histogram = new LogLinearHistogram(bits);
  for (const value of values) histogram.record(value);
  return histogram;
}

describe('log-linear histogram', () => {
  it('every quantile is within the stated error', () => {
    fc.assert(
      fc.property(
        latencies,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 10 }),
        (values, share, bits) => {
          const histogram = histogramOf(values, bits);
          const exact = [...values].sort((a, b) => a - b)[
            Math.max(1, Math.ceil(share * values.length)) - 1
          ] as number;
          const found = histogram.quantile(share) as number;
          expect(Math.abs(found - exact)).toBeLessThanOrEqual(
            histogram.relativeError * exact + 1e-31,
          );
        },
      ),
    );
  });

  it('uses its error up: a value that is not where a bucket has its middle is off', () => {
    const histogram = histogramOf([100, 100.9, 101, 200], 4);
    expect(histogram.relativeError).toBe(1 / 32);
    expect(histogram.quantile(0.5)).not.toBe(100.9);
  });

  it('merged is that of all values, and stored comes back the same', () => {
    fc.assert(
      fc.property(latencies, latencies, (a, b) => {
        const merged = histogramOf(a);
        merged.merge(histogramOf(b));
        const whole = histogramOf([...b, ...a]);
        expect(merged.toJSON()).toEqual(whole.toJSON());
        const stored = JSON.parse(JSON.stringify(whole));
        const back = LogLinearHistogram.from(stored);
        expect(back.toJSON()).toEqual(stored);
        expect(back.count).toBe(a.length + b.length);
        expect(back.quantile(0.9)).toBe(whole.quantile(0.9));
      }),
    );
  });

  it('knows its ends exactly, and how many values lie below a limit to within a bucket', () => {
    const histogram = histogramOf([3.3, 7.7, 12.1, 0]);
    expect(histogram.quantile(0)).toBe(0);
    expect(histogram.quantile(1)).toBe(12.1);
    expect(histogram.countUpTo(8)).toBe(3);
    expect(histogram.countUpTo(12.1)).toBe(4);
    expect(histogram.countUpTo(3)).toBe(1);
    expect(histogram.countUpTo(-1)).toBe(0);
    expect(new LogLinearHistogram().quantile(0.5)).toBeUndefined();
  });

  it('refuses what it cannot count', () => {
    const histogram = new LogLinearHistogram();
    for (const value of [Number.NaN, -1, Infinity])
      expect(() => histogram.record(value)).toThrow('finite values');
    expect(histogram.count).toBe(0);
    expect(() => histogram.merge(new LogLinearHistogram(5))).toThrow('bits');
    expect(() => new LogLinearHistogram(0)).toThrow('1 to 10');
    expect(() => new LogLinearHistogram(3.5)).toThrow('1 to 10');
    expect(() =>
      LogLinearHistogram.from({ bits: 7, zeros: 0, low: 1, high: 1, buckets: [1], counts: [] }),
    ).toThrow('each bucket');
  });
});
