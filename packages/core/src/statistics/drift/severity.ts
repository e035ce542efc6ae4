/** What is compared, and how. */
export type DriftMethod =
  | 'kolmogorov-smirnov'
  | 'wasserstein'
  | 'welch'
  | 'mann-whitney'
  | 'psi'
  | 'jensen-shannon'
  | 'kullback-leibler'
  | 'hellinger'
  | 'total-variation'
  | 'largest-difference'
  | 'chi-squared';

/** How much a distribution has moved, from the effect size alone. */
export type Severity = 'NONE' | 'LOW' | 'MEDIUM' | 'HIGH' | 'CRITICAL';

/** From which score on a drift is LOW, MEDIUM, HIGH and CRITICAL. */
export type SeverityBands = readonly [low: number, medium: number, high: number, critical: number];

/**
 * Bands of every method, mapped to those of PSI by a shift of the mean of a normal distribution by δ standard
 * deviations, for which PSI = δ²: Kolmogorov–Smirnov and total variation 2Φ(δ/2)−1, Wasserstein and Welch δ,
 * Mann–Whitney 2Φ(δ/√2)−1, Jensen–Shannon √(δ²/8 ln 2), Kullback–Leibler δ²/2, Hellinger √(δ²/8), chi-squared δ. Rounded down
 * to two digits. The largest difference of a share has the bands of total variation. MEDIUM begins at δ = 0.4 but for PSI
 * (0.25 is δ = 0.5): a shift by half a deviation is MEDIUM also in samples that show it a little smaller.
 */
export const severityBands: Readonly<Record<DriftMethod, SeverityBands>> = {
  psi: [0.1, 0.25, 0.5, 0.75],
  'kolmogorov-smirnov': [0.12, 0.15, 0.27, 0.33],
  wasserstein: [0.31, 0.4, 0.7, 0.86],
  welch: [0.31, 0.4, 0.7, 0.86],
  'mann-whitney': [0.17, 0.22, 0.38, 0.45],
  'jensen-shannon': [0.13, 0.16, 0.3, 0.36],
  'kullback-leibler': [0.05, 0.08, 0.25, 0.37],
  hellinger: [0.11, 0.14, 0.25, 0.3],
  'total-variation': [0.12, 0.15, 0.27, 0.33],
  'largest-difference': [0.12, 0.15, 0.27, 0.33],
  'chi-squared': [0.31, 0.4, 0.7, 0.86],
};

/** The severity of a score. */
export function severityOf(
  method: DriftMethod,
  score: number,
  bands: SeverityBands = severityBands[method],
): Severity {
  const [low, medium, high, critical] = bands;
  if (score >= critical) return 'CRITICAL';
  if (score >= high) return 'HIGH';
  if (score >= medium) return 'MEDIUM';
  return score >= low ? 'LOW' : 'NONE';
}
