import { requireWithin } from '../arguments.ts';

/** p-values times their number: any of them at most alpha is wrong with a chance of at most alpha in all. */
export function bonferroni(pValues: readonly number[]): number[] {
  checked(pValues);
  return pValues.map((p) => Math.min(1, p * pValues.length));
}

/** Holm's (1979) step-down adjustment: as safe as Bonferroni's and never larger. */
export function holm(pValues: readonly number[]): number[] {
  const order = ascendingOrder(pValues);
  const adjusted = pValues.map(() => 1);
  let largest = 0;
  for (const [position, index] of order.entries()) {
    largest = Math.max(
      largest,
      Math.min(1, (pValues[index] as number) * (pValues.length - position)),
    );
    adjusted[index] = largest;
  }
  return adjusted;
}

/**
 * Benjamini & Hochberg's (1995) adjustment: rejecting where the adjusted value is at most alpha keeps the expected
 * share of false rejections at alpha, for independent or positively dependent tests. Order of the input.
 */
export function benjaminiHochberg(pValues: readonly number[]): number[] {
  const order = ascendingOrder(pValues);
  const adjusted = pValues.map(() => 1);
  let smallest = 1;
  for (let position = order.length - 1; position >= 0; position -= 1) {
    const index = order[position] as number;
    smallest = Math.min(smallest, ((pValues[index] as number) * pValues.length) / (position + 1));
    adjusted[index] = smallest;
  }
  return adjusted;
}

function ascendingOrder(pValues: readonly number[]): number[] {
  checked(pValues);
  const order = pValues.map((_, index) => index);
  return order.sort((a, b) => (pValues[a] as number) - (pValues[b] as number) || a - b);
}

function checked(pValues: readonly number[]): void {
  for (const p of pValues) requireWithin('p-value', p, 0, 1);
}
