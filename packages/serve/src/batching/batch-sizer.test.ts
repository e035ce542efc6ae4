import { describe, expect, test } from 'vitest';
import { BatchSizer } from './batch-sizer.ts';

/** A model that takes `fixedMs + perRowMs · rows`. */
const take = (rows: number): number => 2 + 0.5 * rows;

describe('the size of batches', () => {
  test('without a target is the largest', () => {
    const sizer = new BatchSizer({ maxRows: 64, latencyTargetMs: undefined });
    for (let i = 0; i < 100; i += 1) sizer.record(1, 1000, 1000);
    expect(sizer.limit(0)).toBe(64);
  });

  test('learns what calls take, and what fits into the target', () => {
    const sizer = new BatchSizer({ maxRows: 1000, latencyTargetMs: 20 });
    let rows = 1;
    for (let i = 0; i < 300; i += 1) {
      rows = Math.max(1, Math.min(sizer.limit(0), 1 + (i % 40)));
      sizer.record(rows, take(rows), 0);
    }
    expect(sizer.expectedMs(10)).toBeCloseTo(7, 1);
    // 0.92 · 20 ms leave 16.4 ms beside the 2 that every call takes.
    expect(sizer.limit(0)).toBeLessThanOrEqual(32);
    expect(sizer.limit(0)).toBeGreaterThan(20);
    expect(sizer.limit(8)).toBeLessThanOrEqual(16);
  });

  test('grows while the target is kept, and shrinks by a tenth when it is not', () => {
    const sizer = new BatchSizer({ maxRows: 64, latencyTargetMs: 50 });
    expect(sizer.limit(0)).toBe(1);
    for (let i = 0; i < 200; i += 1) sizer.record(sizer.limit(0), take(sizer.limit(0)), 0);
    expect(sizer.limit(0)).toBe(64);
    sizer.record(64, 80, 0);
    expect(sizer.limit(0)).toBeLessThanOrEqual(57);
    for (let i = 0; i < 60; i += 1) sizer.record(sizer.limit(0), 80, 0);
    expect(sizer.limit(0)).toBe(1);
  });

  test('of requests that are late already is not cut to pieces', () => {
    const sizer = new BatchSizer({ maxRows: 64, latencyTargetMs: 50 });
    for (let i = 0; i < 200; i += 1) sizer.record(sizer.limit(0), take(sizer.limit(0)), 0);
    expect(sizer.limit(500)).toBe(64);
  });

  test('of calls which were all of one size are expected in proportion', () => {
    const sizer = new BatchSizer({ maxRows: 64, latencyTargetMs: undefined });
    expect(sizer.expectedMs(8)).toBeUndefined();
    for (let i = 0; i < 10; i += 1) sizer.record(4, 8, 0);
    expect(sizer.expectedMs(8)).toBeCloseTo(16, 6);
  });
});
