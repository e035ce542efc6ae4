import { describe, expect, test } from 'vitest';
import { dueUpkeep, fullAt, periodOf, type StoredQuota } from './quota-law.ts';

const hour = 3_600_000;
const quota: StoredQuota = {
  id: 'quota-storage',
  revision: 1,
  resource: 'storage',
  limit: 1000,
  used: 0,
  period: 0,
  warned: false,
  overdraft: 0.1,
  samples: [],
};

test('periods begin at midnight and on the first, in UTC', () => {
  const at = Date.UTC(2026, 1, 28, 23, 59);
  expect(periodOf('day', at)).toBe(Date.UTC(2026, 1, 28));
  expect(periodOf('month', at)).toBe(Date.UTC(2026, 1, 1));
  expect(periodOf('month', at + 60_000)).toBe(Date.UTC(2026, 2, 1));
  expect(periodOf(undefined, at)).toBe(0);
});

describe('the day it will be full', () => {
  test('follows from the trend, and is none where nothing grows or too little is known', () => {
    const samples = [
      { at: 0, used: 0 },
      { at: hour, used: 100 },
      { at: 2 * hour, used: 200 },
    ];
    expect(fullAt(samples, { used: 300, limit: 1000 }, 3 * hour)).toBe(10 * hour);
    expect(fullAt(samples, { used: 1000, limit: 900 }, 3 * hour)).toBe(3 * hour);
    const falling = samples.map(({ at, used }) => ({ at, used: 500 - used }));
    expect(fullAt(falling, { used: 200, limit: 1000 }, 3 * hour)).toBeUndefined();
    expect(fullAt([], { used: 300, limit: 1000 }, hour)).toBeUndefined();
    expect(fullAt([{ at: hour, used: 1 }], { used: 3, limit: 10 }, hour)).toBeUndefined();
    const slow = fullAt([{ at: 0, used: 0 }], { used: 1e-300, limit: 1e300 }, hour);
    expect(new Date(slow ?? 0).getTime()).toBe(8.64e15);
  });
});

describe('upkeep', () => {
  test('warns once at 80 %, and again only after it was below 70 %', () => {
    const sampled = { samples: [{ at: 0, used: 0 }] };
    const at = (used: number, warned: boolean) =>
      dueUpkeep({ ...quota, ...sampled, used, warned }, hour - 1);
    expect(at(799, false)).toBeUndefined();
    expect(at(800, false)).toMatchObject({ warn: true, warned: true });
    expect(at(999, true)).toBeUndefined();
    expect(at(700, true)).toBeUndefined();
    expect(at(699, true)).toMatchObject({ warn: false, warned: false });
    expect(dueUpkeep({ ...quota, ...sampled, limit: 0 }, 1)).toMatchObject({ warn: true });
  });

  test('takes a sample an hour, and keeps two days of them', () => {
    let samples: StoredQuota['samples'] = [];
    for (let i = 0; i < 100; i += 1) {
      samples = dueUpkeep({ ...quota, used: i, samples }, i * hour)?.samples ?? [];
    }
    expect(samples).toHaveLength(48);
    expect(samples.at(-1)).toEqual({ at: 99 * hour, used: 99 });
  });
});
