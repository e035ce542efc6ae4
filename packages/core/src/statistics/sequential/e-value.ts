import { invalid, requireLevel } from '../arguments.ts';

/**
 * Evidence against a null hypothesis. Under it the expected e-value is at most 1 at every stopping time, so
 * an e-value of 1/alpha is ever reached with a chance of at most alpha (Ville's inequality; Ramdas et al.
 * 2023, "Game-theoretic statistics and safe anytime-valid inference"). Plain JSON: `eValue` stops at
 * `Number.MAX_VALUE` and `logE` at ±`Number.MAX_VALUE`.
 */
export type EValue = {
  /** Natural logarithm of the e-value. */
  readonly logE: number;
  readonly eValue: number;
  /** min(1, 1/e): a p-value that is valid at every look. */
  readonly pValue: number;
};

/** An e-value from its logarithm. INVALID for NaN. */
export function eValueFromLog(logE: number): EValue {
  if (Number.isNaN(logE)) throw invalid('logE', logE, 'a number');
  const bounded = Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, logE));
  return {
    logE: bounded,
    eValue: Math.min(Number.MAX_VALUE, Math.exp(bounded)),
    pValue: bounded > 0 ? Math.exp(-bounded) : 1,
  };
}

/** Whether the evidence rejects its null hypothesis at level alpha. */
export function rejects(evidence: { readonly logE: number }, alpha: number): boolean {
  requireLevel('alpha', alpha);
  return evidence.logE >= -Math.log(alpha);
}

/**
 * The mean of e-values: evidence against "all these null hypotheses hold", under any dependence between
 * them. `weights`, fixed beforehand, need not sum to 1; without them all count alike.
 */
export function meanOfE(
  values: readonly { readonly logE: number }[],
  weights?: readonly number[],
): EValue {
  if (values.length === 0) throw invalid('values', '[]', 'at least one e-value');
  if (weights !== undefined && weights.length !== values.length) {
    throw invalid(
      'weights',
      weights.length,
      `one weight for each of the ${values.length} e-values`,
    );
  }
  const shares = weights ?? values.map(() => 1);
  const total = shares.reduce((sum, share) => sum + share, 0);
  if (!(total > 0) || shares.some((share) => !(share >= 0)))
    throw invalid('weights', shares, 'weights from 0 on');
  return eValueFromLog(
    logSumOfExp(
      values.map((value, index) => value.logE + Math.log((shares[index] as number) / total)),
    ),
  );
}

/**
 * The product of e-values: evidence against "all these null hypotheses hold", only for independent ones or
 * those of which each is valid given the ones before it (consecutive periods).
 */
export function productOfE(values: readonly { readonly logE: number }[]): EValue {
  return eValueFromLog(values.reduce((sum, value) => sum + value.logE, 0));
}

/**
 * Which of many null hypotheses to reject so that the expected share of wrong rejections is at most alpha,
 * under any dependence: e-BH (Wang & Ramdas 2022). Answers in the order of the input.
 */
export function eBenjaminiHochberg(
  values: readonly { readonly logE: number }[],
  alpha: number,
): boolean[] {
  requireLevel('alpha', alpha);
  const order = values.map((_, index) => index);
  order.sort((a, b) => (values[b]?.logE as number) - (values[a]?.logE as number) || a - b);
  let rejected = 0;
  for (const [position, index] of order.entries()) {
    const needed = Math.log(values.length) - Math.log(alpha * (position + 1));
    if ((values[index]?.logE as number) >= needed) rejected = position + 1;
  }
  const flags = values.map(() => false);
  for (const index of order.slice(0, rejected)) flags[index] = true;
  return flags;
}

/** ln Σ e^v without overflow. */
export function logSumOfExp(values: readonly number[]): number {
  let largest = -Infinity;
  for (const value of values) if (value > largest) largest = value;
  if (largest === -Infinity || largest === Infinity) return largest;
  let sum = 0;
  for (const value of values) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}
