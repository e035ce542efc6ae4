import { describe, expect, test } from 'vitest';
import { uuidTime, uuidV7 } from './uuid.ts';

describe('uuidV7', () => {
  test('is a version 7 UUID of the time given', () => {
    const at = Date.now() + 1000;
    const id = uuidV7(at);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(uuidTime(id)).toBe(at);
  });

  test('20,000 ids of one moment ascend and differ; so do those of a clock that goes backwards', () => {
    const at = Date.now() + 2000;
    const ids = Array.from({ length: 20_000 }, (_, i) => uuidV7(i < 10_000 ? at : at - i));
    expect(ids).toEqual([...ids].sort());
    expect(new Set(ids).size).toBe(ids.length);
    // A counter that ran over has borrowed milliseconds, and few.
    expect(uuidTime(ids.at(-1) ?? '') - at).toBeLessThan(10);
  });

  test('fractions of a millisecond keep the order', () => {
    const at = Date.now() + 60_000;
    const ids = Array.from({ length: 500 }, (_, i) => uuidV7(at + i / 1000));
    expect(ids).toEqual([...ids].sort());
    expect(uuidTime(ids[0] ?? '')).toBe(at);
  });
});
