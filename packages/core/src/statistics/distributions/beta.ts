import { requireWithin } from '../arguments.ts';
import { logBetaTails } from '../special/incomplete-beta.ts';

/** The x with I_x(a, b) = `probability`: the quantile of the beta distribution, exact to the last bits (bisection). */
export function betaQuantile(probability: number, a: number, b: number): number {
  requireWithin('probability', probability, 0, 1);
  if (probability === 0) return 0;
  if (probability === 1) return 1;
  const logLower = Math.log(probability);
  const logUpper = Math.log1p(-probability);
  let low = 0;
  let high = 1;
  for (;;) {
    const middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return middle;
    const tails = logBetaTails(a, b, middle);
    const isBelow = probability < 0.5 ? tails.logLower < logLower : tails.logUpper > logUpper;
    if (isBelow) low = middle;
    else high = middle;
  }
}
