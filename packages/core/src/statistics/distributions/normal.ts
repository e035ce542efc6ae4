import { requireLevel } from '../arguments.ts';
import { incompleteGamma } from '../special/incomplete-gamma.ts';

/** P(Z ≤ z) of the standard normal distribution; relative error about 1e-13 in the lower tail. */
export function normalBelow(z: number): number {
  return z > 0 ? 1 - normalBelow(-z) : normalAbove(-z);
}

/** P(Z > z) of the standard normal distribution; relative error about 1e-13 in the upper tail. */
export function normalAbove(z: number): number {
  if (Number.isNaN(z)) return Number.NaN;
  if (z < 0) return 1 - normalAbove(-z);
  return 0.5 * incompleteGamma(0.5, 0.5 * z * z).upper;
}

/** P(|Z| > |z|): the two-sided p-value of a standard normal statistic. */
export function normalTwoSided(z: number): number {
  if (Number.isNaN(z)) return Number.NaN;
  return incompleteGamma(0.5, 0.5 * z * z).upper;
}

/**
 * The z with P(Z ≤ z) = `probability`, for a probability strictly between 0 and 1; relative error about
 * 1e-15 (Wichura 1988, algorithm AS 241).
 */
export function normalQuantile(probability: number): number {
  requireLevel('probability', probability);
  const centred = probability - 0.5;
  if (Math.abs(centred) <= 0.425) {
    const r = 0.180625 - centred * centred;
    return (centred * polynomial(centralTop, r)) / polynomial(centralBottom, r);
  }
  const tail = Math.sqrt(-Math.log(centred < 0 ? probability : 1 - probability));
  const size =
    tail <= 5
      ? polynomial(middleTop, tail - 1.6) / polynomial(middleBottom, tail - 1.6)
      : polynomial(farTop, tail - 5) / polynomial(farBottom, tail - 5);
  return centred < 0 ? -size : size;
}

const centralTop = [
  3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
  45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727,
] as const;
const centralBottom = [
  1, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077, 21213.794301586595867,
  39307.89580009271061, 28729.085735721942674, 5226.495278852545925,
] as const;
const middleTop = [
  1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
  1.27045825245236838258, 0.24178072517745061177, 0.0227238449892691845833,
  7.7454501427834140764e-4,
] as const;
const middleBottom = [
  1, 2.05319162663775882187, 1.6763848301838038494, 0.68976733498510000455, 0.14810397642748007459,
  0.0151986665636164571966, 5.475938084995344946e-4, 1.05075007164441684324e-9,
] as const;
const farTop = [
  6.6579046435011037772, 5.4637849111641143699, 1.7848265399172913358, 0.29656057182850489123,
  0.026532189526576123093, 0.0012426609473880784386, 2.71155556874348757815e-5,
  2.01033439929228813265e-7,
] as const;
const farBottom = [
  1, 0.59983220655588793769, 0.13692988092273580531, 0.0148753612908506148525,
  7.868691311456132591e-4, 1.8463183175100546818e-5, 1.4215117583164458887e-7,
  2.04426310338993978564e-15,
] as const;

function polynomial(coefficients: readonly number[], x: number): number {
  let value = 0;
  for (let index = coefficients.length - 1; index >= 0; index -= 1)
    value = value * x + (coefficients[index] as number);
  return value;
}
