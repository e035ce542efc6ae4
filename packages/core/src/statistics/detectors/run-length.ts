import { requirePositive } from '../arguments.ts';

/**
 * The threshold of a CUSUM, in standard deviations, that values like these reach by chance about once in `runLength`: by
 * Lundberg's exponent, the θ > 0 with mean exp(θ·(z − slack)) = 1 (Siegmund 1985, with his correction for the overshoot
 * left to the values themselves). For normal values of slack ½ it is ln(runLength) and a little more. Null where no value
 * exceeds the slack: then nothing is ever reached.
 */
export function cusumThreshold(
  standardised: readonly number[],
  slack: number,
  runLength: number,
): number | null {
  requirePositive('runLength', runLength);
  const steps = standardised.map((z) => z - slack);
  const growth = (theta: number): number =>
    steps.reduce((sum, step) => sum + Math.exp(theta * step), 0) / steps.length;
  const mean = steps.reduce((sum, step) => sum + step, 0) / steps.length;
  if (!steps.some((step) => step > 0) || !(mean < 0)) return null;
  let high = 1e-3;
  while (growth(high) < 1) high *= 2;
  let low = high / 2;
  for (let round = 0; round < 60; round += 1) {
    const middle = (low + high) / 2;
    if (growth(middle) < 1) low = middle;
    else high = middle;
  }
  return Math.log(runLength) / high;
}
