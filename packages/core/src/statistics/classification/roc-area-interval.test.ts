import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectCloseTo } from '../fixtures/close-to.ts';
import { seededRandom } from '../random/seeded-random.ts';
import { rocArea } from './ranked-scores.ts';
import { rocAreaInterval } from './roc-area-interval.ts';

/** DeLong's definition by comparing every positive with every negative. */
function naive(scores: readonly number[], labels: readonly number[]): number {
  const positives = scores.filter((_, i) => labels[i] === 1);
  const negatives = scores.filter((_, i) => labels[i] === 0);
  const wins = (x: number, y: number) => (x > y ? 1 : x === y ? 0.5 : 0);
  const mean = (values: readonly number[]) => values.reduce((s, v) => s + v, 0) / values.length;
  const v10 = positives.map((x) => mean(negatives.map((y) => wins(x, y))));
  const v01 = negatives.map((y) => mean(positives.map((x) => wins(x, y))));
  const area = mean(v10);
  const spread = (values: readonly number[]) =>
    values.reduce((s, v) => s + (v - area) ** 2, 0) / (values.length - 1) / values.length;
  return Math.sqrt(spread(v10) + spread(v01));
}

describe("DeLong's interval of an area", () => {
  it('is as the definition says, ties included, around the area', () => {
    const item = fc.tuple(fc.integer({ min: -5, max: 5 }), fc.constantFrom(0, 1));
    fc.assert(
      fc.property(fc.array(item, { maxLength: 40 }), (items) => {
        const scores = items.map(([score]) => score / 4);
        const labels = items.map(([, label]) => label);
        const found = rocAreaInterval(scores, labels, 0.05);
        const positives = labels.filter((label) => label === 1).length;
        if (positives < 2 || labels.length - positives < 2) {
          expect(found).toBeNull();
          return;
        }
        expectCloseTo(found?.area ?? Number.NaN, rocArea(scores, labels) as number, 1e-12, 1e-12);
        expectCloseTo(found?.standardError ?? Number.NaN, naive(scores, labels), 1e-9, 1e-9);
      }),
    );
  });

  it('covers the true area at about its level', () => {
    // Normal scores one deviation apart: the area is Φ(1/√2).
    const truth = 0.7602499389065233;
    let covered = 0;
    for (let run = 0; run < 1000; run += 1) {
      const random = seededRandom(`area/${run}`);
      const labels = Array.from({ length: 100 }, (_, i) => (i < 40 ? 1 : 0));
      const scores = labels.map((label) => label + random.normal());
      const { low, high } = rocAreaInterval(scores, labels, 0.05)?.interval ?? { low: 1, high: 0 };
      if (low <= truth && truth <= high) covered += 1;
    }
    expect(covered / 1000).toBeGreaterThan(0.925);
    expect(covered / 1000).toBeLessThan(0.97);
  });

  it('refuses what is no score or label', () => {
    expect(() => rocAreaInterval([Number.NaN], [1], 0.05)).toThrow('score');
    expect(() => rocAreaInterval([1], [2], 0.05)).toThrow('label');
    expect(() => rocAreaInterval([1], [], 0.05)).toThrow('as many');
  });
});
