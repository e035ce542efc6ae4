import { invalid } from '../arguments.ts';
import { normalAbove } from '../distributions/normal.ts';

/** A comparison of two samples by ranks. */
export interface MannWhitney {
  /** U of the reference: pairs in which its value is larger, ties counted half. */
  readonly statistic: number;
  /** Two-sided. */
  readonly pValue: number;
  readonly method: 'exact' | 'normal';
}

/** Without ties the exact distribution is used while neither sample is larger than this. */
const exactSize = 50;

/**
 * The Mann–Whitney U test of ascending, finite values (as scipy's `mannwhitneyu`): exact without ties and up to 50
 * values on a side, else by the normal approximation with tie correction and continuity ½. `method` forces one of
 * them; exact with ties is INVALID, as is an empty sample.
 */
export function mannWhitney(
  reference: ArrayLike<number>,
  current: ArrayLike<number>,
  method?: MannWhitney['method'],
): MannWhitney {
  const n = reference.length;
  const m = current.length;
  if (n === 0 || m === 0) throw invalid('sample', '[]', 'at least one value');
  const { statistic, ties } = rankStatistic(reference, current);
  if (method === 'exact' && ties > 0)
    throw invalid('method', method, '"normal" where values are tied');
  const chosen = method ?? (ties === 0 && n <= exactSize && m <= exactSize ? 'exact' : 'normal');
  const larger = Math.max(statistic, n * m - statistic);
  const tail = chosen === 'exact' ? exactAbove(n, m, larger) : normalTail(n, m, larger, ties);
  return { statistic, pValue: Math.min(1, 2 * tail), method: chosen };
}

/** U of the reference and Σ(t³ − t) over groups of t tied values. */
function rankStatistic(
  reference: ArrayLike<number>,
  current: ArrayLike<number>,
): { statistic: number; ties: number } {
  let i = 0;
  let j = 0;
  let statistic = 0;
  let ties = 0;
  while (i < reference.length || j < current.length) {
    const value = Math.min(reference[i] ?? Infinity, current[j] ?? Infinity);
    const fromI = i;
    const fromJ = j;
    while (i < reference.length && (reference[i] as number) === value) i += 1;
    while (j < current.length && (current[j] as number) === value) j += 1;
    const group = i - fromI + j - fromJ;
    statistic += (i - fromI) * (fromJ + (j - fromJ) / 2);
    ties += group ** 3 - group;
  }
  return { statistic, ties };
}

function normalTail(n: number, m: number, larger: number, ties: number): number {
  const total = n + m;
  const variance = ((n * m) / 12) * (total + 1 - ties / (total * (total - 1)));
  if (!(variance > 0)) return 1;
  return normalAbove((larger - (n * m) / 2 - 0.5) / Math.sqrt(variance));
}

/** P(U ≥ u) without ties, by Mann & Whitney's recurrence over the last, largest value. */
function exactAbove(n: number, m: number, u: number): number {
  let rows: Float64Array[] = Array.from({ length: m + 1 }, () => Float64Array.of(1));
  for (let i = 1; i <= n; i += 1) {
    const next: Float64Array[] = [Float64Array.of(1)];
    for (let j = 1; j <= m; j += 1) {
      const shares = new Float64Array(i * j + 1);
      const withReference = rows[j] as Float64Array;
      const withCurrent = next[j - 1] as Float64Array;
      for (let k = 0; k < withReference.length; k += 1) {
        shares[k + j] = ((withReference[k] as number) * i) / (i + j);
      }
      for (let k = 0; k < withCurrent.length; k += 1) {
        shares[k] = (shares[k] as number) + ((withCurrent[k] as number) * j) / (i + j);
      }
      next.push(shares);
    }
    rows = next;
  }
  const shares = rows[m] as Float64Array;
  let sum = 0;
  for (let k = shares.length - 1; k >= u; k -= 1) sum += shares[k] as number;
  return sum;
}
