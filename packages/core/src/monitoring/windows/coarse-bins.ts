import type { FeatureBaseline, FeatureCounts } from '../baselines/baseline.ts';

const groups = 10;

/**
 * Counts of both sides in about ten bins of equal share of the baseline, out of its many: scores like PSI are meant for so
 * many. A bin that holds a tenth by itself, such as a constant's, stays alone. Categories and few values stay as they are.
 */
export function coarseBins(
  was: FeatureBaseline,
  is: FeatureCounts,
): readonly [readonly number[], readonly number[]] {
  if (was.type === 'category' || was.counts.length <= groups) return [was.counts, is.counts];
  const all = was.counts.reduce((sum, count) => sum + count, 0);
  const share = all / groups;
  const reference: number[] = [];
  const current: number[] = [];
  let [before, now, seen] = [0, 0, 0];
  let isOpen = false;
  const close = (): void => {
    if (!isOpen) return;
    reference.push(before);
    current.push(now);
    [before, now, isOpen] = [0, 0, false];
  };
  for (const [bin, count] of was.counts.entries()) {
    const isAlone = count > 1 && count >= share;
    if (isAlone) close();
    const end = Math.floor((seen + 1e-9) / share) + 1;
    before += count;
    now += is.counts[bin] ?? 0;
    seen += count;
    isOpen = true;
    if (isAlone || seen >= end * share - 1e-9) close();
  }
  close();
  return [reference, current];
}
