import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { distance, PointRing, reached } from './point-ring.ts';
import { thinPoints } from './thin-points.ts';

/** A ring of 1,024 places whose next point has this position. */
function ringAt(position: number): PointRing {
  const ring = PointRing.create(1);
  const control = new Int32Array(ring.buffer, 0, 32);
  control[0] = position;
  ring.release(position);
  ring.settle(position, position, 0);
  return ring;
}

/** Where 32-bit positions turn: at 2^31 and at 2^32. */
const places = [0, 5_000, 2 ** 31 - 300, 2 ** 31, -300, -1].map((place) => place | 0);

describe('positions', () => {
  test('keep their order where they turn', () => {
    for (const place of places) {
      for (const count of [0, 1, 700, 2 ** 30]) {
        const later = (place + count) | 0;
        expect(distance(place, later)).toBe(count);
        expect([reached(later, place), reached(place, later)]).toEqual([true, count === 0]);
      }
    }
  });

  test('find their points again where they turn', () => {
    for (const place of places) {
      const ring = ringAt(place);
      for (let i = 0; i < ring.capacity; i++) {
        ring.put((place + i) | 0, i % 2 === 0 ? i : -1 - i, i * 2, i * 3, i * 5);
      }
      expect(ring.used).toBe(ring.capacity);
      for (let i = 0; i < ring.capacity; i++) {
        expect(ring.get((place + i) | 0)).toEqual({
          index: i,
          automatic: i % 2 === 1,
          step: i * 2,
          timestamp: i * 3,
          value: i * 5,
        });
      }
    }
  });
});

describe('thinning', () => {
  test('drops every second point of a series, keeps the newest and the order, and counts', () => {
    const indexes = fc.array(fc.nat(5), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(indexes, fc.constantFrom(...places), fc.double(), (list, place, share) => {
        const ring = ringAt(place);
        list.forEach((index, i) => {
          ring.put((place + i) | 0, index, i, 0, i);
        });
        const count = Math.floor(list.length * Math.min(1, Math.abs(share) || 0.5));
        const { tail, dropped } = thinPoints(ring, place, count);
        const kept = Array.from({ length: distance(tail, ring.head) }, (_, i) =>
          ring.get((tail + i) | 0),
        );
        // In order, each what it was, the points behind the range untouched.
        const values = kept.map((point) => point.value);
        expect(values).toEqual(values.toSorted((a, b) => a - b));
        for (const point of kept) expect(point.index).toBe(list[point.value]);
        const rest = list.slice(count).map((_, i) => count + i);
        if (rest.length > 0) expect(values.slice(-rest.length)).toEqual(rest);
        const lost = [...dropped.values()].reduce((sum, points) => sum + points, 0);
        expect(kept.length + lost).toBe(list.length);
        if (count > 0) expect(lost).toBeGreaterThan(0);
        for (let index = 0; index <= 5; index++) {
          const before = list.slice(0, count).filter((one) => one === index).length;
          const after = kept.filter((one) => one.index === index && one.value < count).length;
          expect(before - after).toBe(dropped.get(index) ?? 0);
          const lone = new Set(list.slice(0, count)).size === count;
          expect(after).toBe(lone ? 0 : Math.ceil(before / 2));
        }
      }),
      { numRuns: 300 },
    );
  });
});
