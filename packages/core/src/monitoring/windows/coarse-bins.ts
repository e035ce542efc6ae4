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

/** So many entries are expected in each bin of the smaller side: with fewer the tails of chi-squared are too heavy. */
const expectedEntries = 15;

/**
 * The same counts in bins of which each is expected to have 15 entries on the smaller side, or five at least: neighbours
 * together, of categories the rarest of the reference.
 */
export function fullBins(
  type: FeatureBaseline['type'],
  reference: readonly number[],
  current: readonly number[],
): readonly [readonly number[], readonly number[]] {
  const all = reference.reduce((sum, count) => sum + count, 0);
  const smaller = Math.min(
    all,
    current.reduce((sum, count) => sum + count, 0),
  );
  if (all === 0 || smaller === 0) return [reference, current];
  // Never so many that all would be one.
  const least = Math.min(all / 2, (expectedEntries * all) / smaller);
  const places = reference.map((_, place) => place);
  const order =
    type === 'number'
      ? places
      : places.sort((a, b) => (reference[a] as number) - (reference[b] as number) || a - b);
  const pooled: [number, number][] = [];
  let open: [number, number] | undefined;
  // What was never seen stays apart, as does what is not much too little for a bin of its own.
  const stands = ([was]: [number, number]): boolean => was === 0 || 3 * was >= least;
  for (const place of order) {
    const bin: [number, number] = [reference[place] as number, current[place] ?? 0];
    if (open !== undefined && bin[0] >= least && stands(open)) {
      pooled.push(open);
      open = undefined;
    }
    open = open === undefined ? bin : [open[0] + bin[0], open[1] + bin[1]];
    if (open[0] < least) continue;
    pooled.push(open);
    open = undefined;
  }
  const last = pooled.at(-1);
  if (open !== undefined && (last === undefined || stands(open))) pooled.push(open);
  else if (open !== undefined && last !== undefined) {
    pooled[pooled.length - 1] = [last[0] + open[0], last[1] + open[1]];
  }
  return [pooled.map(([was]) => was), pooled.map(([, is]) => is)];
}
