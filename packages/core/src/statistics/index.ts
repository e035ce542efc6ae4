export { betaQuantile } from './distributions/beta.ts';
export {
  binomialAtLeast,
  binomialAtMost,
  binomialProbability,
  binomialTwoSided,
} from './distributions/binomial.ts';
export {
  chiSquaredAbove,
  chiSquaredBelow,
  chiSquaredQuantileAbove,
} from './distributions/chi-squared.ts';
export {
  normalAbove,
  normalBelow,
  normalQuantile,
  normalTwoSided,
} from './distributions/normal.ts';
export { studentTwoSided } from './distributions/student-t.ts';
export type { Interval } from './intervals/interval.ts';
export { clopperPearsonInterval, type Rate, wilsonInterval } from './intervals/rate-interval.ts';
export { type SeededRandom, seededRandom } from './random/seeded-random.ts';
export { rateInterval } from './sequential/beta-mixture.ts';
export type { Epoch } from './sequential/change-evidence.ts';
export {
  type ClassChange,
  type ClassCounts,
  type ClassStream,
  type DistributionChangeOptions,
  type DistributionChangeState,
  type DistributionChangeVerdict,
  distributionChange,
} from './sequential/distribution-change.ts';
export {
  type EValue,
  eBenjaminiHochberg,
  eValueFromLog,
  meanOfE,
  productOfE,
  rejects,
} from './sequential/e-value.ts';
export {
  type MeanSequenceOptions,
  type MeanSequenceState,
  type MeanSequenceVerdict,
  meanSequence,
} from './sequential/mean-sequence.ts';
export {
  type PairedCounts,
  type PairedOptions,
  type PairedState,
  type PairedVerdict,
  pairedTest,
} from './sequential/paired-test.ts';
export {
  type EstimatedRate,
  type RateChangeOptions,
  type RateChangeState,
  type RateChangeVerdict,
  rateChange,
} from './sequential/rate-change.ts';
export {
  type ArmRate,
  type RateComparisonCounts,
  type RateComparisonOptions,
  type RateComparisonState,
  type RateComparisonVerdict,
  type RateLine,
  rateComparison,
} from './sequential/rate-comparison.ts';
export {
  type RateTestOptions,
  type RateTestState,
  type RateTestVerdict,
  rateTest,
} from './sequential/rate-test.ts';
export {
  type SampleRatioCounts,
  type SampleRatioOptions,
  type SampleRatioState,
  type SampleRatioVerdict,
  sampleRatioTest,
} from './sequential/sample-ratio-test.ts';
export type { SequentialTest } from './sequential/sequential-test.ts';
export { incompleteBeta } from './special/incomplete-beta.ts';
export { incompleteGamma } from './special/incomplete-gamma.ts';
export { logBeta, logGamma } from './special/log-gamma.ts';
