/** A time to be read in windows of one length. */
export interface Stretch {
  readonly windowMs: number;
  readonly from: number;
  readonly to: number;
}

/**
 * The windows that begin in a range, as few as cover it: long ones where they lie in it whole, short ones at its ends.
 * `levels` ascend, each a multiple of the one before. By time.
 */
export function stretches(
  range: { readonly from: number; readonly to: number },
  levels: readonly number[],
): readonly Stretch[] {
  const [finest = 1] = levels;
  // Windows of the finest level begin in the range.
  const from = Math.ceil(range.from / finest) * finest;
  const to = Math.ceil(range.to / finest) * finest;
  return split(from, to, levels.length - 1);

  function split(begin: number, end: number, level: number): readonly Stretch[] {
    if (end <= begin) return [];
    const windowMs = levels[level] as number;
    if (level === 0) return [{ windowMs, from: begin, to: end }];
    const first = Math.ceil(begin / windowMs) * windowMs;
    const last = Math.floor(end / windowMs) * windowMs;
    if (last <= first) return split(begin, end, level - 1);
    return [
      ...split(begin, first, level - 1),
      { windowMs, from: first, to: last },
      ...split(last, end, level - 1),
    ];
  }
}
