import { stirlingError } from './log-gamma.ts';

const logTwoPi = 1.8378770664093453;

/**
 * ln [ Γ(a+b+1) / (Γ(a+1) Γ(b+1)) · x^a · y^b ] for real `a, b ≥ 0` and `y = 1 − x`: the logarithm of a
 * binomial probability, also for counts that are not whole. Relative error of the probability about 1e-15
 * times its logarithm (saddle-point form, Loader 2000).
 */
export function logBinomialTerm(a: number, b: number, x: number, y: number): number {
  if (a === 0) return b === 0 ? 0 : b * logOf(y, x);
  if (b === 0) return a * logOf(x, y);
  if (x === 0 || y === 0) return -Infinity;
  const n = a + b;
  const correction = stirlingError(n) - stirlingError(a) - stirlingError(b);
  const deviances = deviance(a, n * x) + deviance(b, n * y);
  return correction - deviances - 0.5 * (logTwoPi + Math.log(a) + Math.log(b / n));
}

/** ln [ x^a e^−x / Γ(a+1) ] for real `a ≥ 0` and `x ≥ 0`: the logarithm of a Poisson probability. */
export function logPoissonTerm(a: number, x: number): number {
  if (a === 0) return -x;
  if (x === 0) return -Infinity;
  return -stirlingError(a) - deviance(a, x) - 0.5 * (logTwoPi + Math.log(a));
}

/** ln x, taken from `1 − y` where that is more exact. */
function logOf(x: number, y: number): number {
  return y < 0.5 ? Math.log1p(-y) : Math.log(x);
}

/** x ln(x/m) + m − x without cancellation near x = m (Loader's bd0). */
function deviance(x: number, mean: number): number {
  const gap = x - mean;
  if (Math.abs(gap) >= 0.1 * (x + mean)) return x * Math.log(x / mean) + mean - x;
  const v = gap / (x + mean);
  let sum = gap * v;
  let term = 2 * x * v;
  for (let index = 1; index < 1000; index += 1) {
    term *= v * v;
    const next = sum + term / (2 * index + 1);
    if (next === sum) break;
    sum = next;
  }
  return sum;
}
