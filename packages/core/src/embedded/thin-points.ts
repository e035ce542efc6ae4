import type { PointRing } from './point-ring.ts';

/**
 * Thins `count` points of a ring from position `from` on: of each series every second one goes, the
 * newest stays; where every series has but one point, all go. Those that stay close up to the end of the
 * range, so that room comes free at its beginning. Answers the new beginning and the loss by index.
 */
export function thinPoints(
  ring: PointRing,
  from: number,
  count: number,
): { readonly tail: number; readonly dropped: ReadonlyMap<number, number> } {
  const end = (from + count) | 0;
  const dropped = new Map<number, number>();
  const seen = new Map<number, number>();
  let to = end;
  for (let i = 1; i <= count; i++) {
    const position = (end - i) | 0;
    const { index } = ring.get(position);
    const before = seen.get(index) ?? 0;
    seen.set(index, before + 1);
    if (before % 2 === 1) {
      dropped.set(index, (dropped.get(index) ?? 0) + 1);
      continue;
    }
    to = (to - 1) | 0;
    ring.move(position, to);
  }
  return dropped.size > 0 || count === 0 ? { tail: to, dropped } : { tail: end, dropped: seen };
}
