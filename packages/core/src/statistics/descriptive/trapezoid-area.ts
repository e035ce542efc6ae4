import { invalid } from '../arguments.ts';

/**
 * The area under a curve through points with ascending x, by trapezoids: the area under a ROC or
 * precision–recall curve, or of a metric over time. INVALID when lengths differ or x falls.
 */
export function trapezoidArea(x: readonly number[], y: readonly number[]): number {
  if (x.length !== y.length) throw invalid('y', y.length, `as many values as x has, ${x.length}`);
  let area = 0;
  for (let index = 1; index < x.length; index += 1) {
    const width = (x[index] as number) - (x[index - 1] as number);
    if (!(width >= 0)) throw invalid('x', x[index], 'ascending');
    area += (width * ((y[index] as number) + (y[index - 1] as number))) / 2;
  }
  return area;
}
