import { invalid } from '../arguments.ts';

/**
 * What becomes of empty bins. `smooth`: (count + ½)/(n + ½·bins), finite and fading with n. `raw`: nothing, so
 * that some distances are infinite. `evidently`: empty shares become 0.0001, or a millionth of the smallest
 * share where that is at most 0.0001; not renormalised.
 */
export type EmptyBins = 'smooth' | 'raw' | 'evidently';

/** The share of each bin. INVALID for counts that are negative or all 0. */
export function sharesOf(counts: readonly number[], emptyBins: EmptyBins = 'smooth'): number[] {
  let total = 0;
  for (const count of counts) {
    if (!(count >= 0 && count < Infinity)) throw invalid('count', count, 'a number from 0 on');
    total += count;
  }
  if (total === 0) throw invalid('counts', counts, 'counts that are not all 0');
  if (emptyBins === 'smooth')
    return counts.map((count) => (count + 0.5) / (total + 0.5 * counts.length));
  const shares = counts.map((count) => count / total);
  return emptyBins === 'raw' ? shares : filled(shares);
}

function filled(shares: readonly number[]): number[] {
  const smallest = Math.min(...shares.filter((share) => share > 0));
  const filler = smallest <= 0.0001 ? smallest / 1e6 : 0.0001;
  return shares.map((share) => (share === 0 ? filler : share));
}
