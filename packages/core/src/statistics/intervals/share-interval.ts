import { invalid, requireLevel, requireWithin } from '../arguments.ts';
import { normalQuantile } from '../distributions/normal.ts';
import type { Interval } from './interval.ts';

/**
 * Wilson's interval of a share for a single look (Wilson 1927), where the rows that it rests on need not be a whole
 * number: the effective number of rows of a weighted sample. [0, 1] without rows.
 */
export function shareInterval(share: number, rows: number, alpha: number): Interval {
  requireWithin('share', share, 0, 1);
  requireLevel('alpha', alpha);
  if (!(rows >= 0 && rows < Infinity)) throw invalid('rows', rows, 'a number from 0 on');
  if (rows === 0) return { low: 0, high: 1 };
  const z = normalQuantile(1 - alpha / 2);
  const scale = 1 + (z * z) / rows;
  const centre = (share + (z * z) / (2 * rows)) / scale;
  const half = (z / scale) * Math.sqrt((share * (1 - share)) / rows + (z * z) / (4 * rows * rows));
  return {
    low: share === 0 ? 0 : Math.max(0, centre - half),
    high: share === 1 ? 1 : Math.min(1, centre + half),
  };
}
