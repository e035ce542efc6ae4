export {
  type ClassificationMetrics,
  type ClassMetrics,
  type ConfusionMatrix,
  classificationMetrics,
  confusionMatrix,
  mergeConfusion,
} from './classification/confusion-matrix.ts';
export {
  type BinaryPerformance,
  binaryPerformance,
} from './classification/estimated-performance.ts';
export {
  type Calibration,
  type CalibrationRows,
  type ExpectedClassification,
  type ExpectedFigure,
  expectedClassification,
  fitCalibration,
} from './classification/expected-classification.ts';
export { applyIsotonic, fitIsotonic, type IsotonicMap } from './classification/isotonic-map.ts';
export { brierScore, calibrationError, logLoss } from './classification/probability-scores.ts';
export { type RocPoint, rocArea, rocCurve } from './classification/ranked-scores.ts';
export { type RocAreaInterval, rocAreaInterval } from './classification/roc-area-interval.ts';
export {
  type Moments,
  mergeMoments,
  momentsOf,
  noMoments,
  populationDeviation,
  RunningMoments,
  sampleVariance,
} from './descriptive/moments.ts';
export { type NumericSample, numericSample } from './descriptive/numeric-sample.ts';
export { median, quantile, sorted } from './descriptive/quantile.ts';
export { SortSpace, sortNumbers } from './descriptive/sort-numbers.ts';
export { distinctValues, type Summary, summarise } from './descriptive/summary.ts';
export { trapezoidArea } from './descriptive/trapezoid-area.ts';
export { type AdwinOptions, type AdwinRow, type AdwinState, adwin } from './detectors/adwin.ts';
export {
  bayesianChangePoint,
  type ChangePointModel,
  type ChangePointOptions,
  type ChangePointState,
  changeWithin,
  likeliestRun,
  type Run,
} from './detectors/bayesian-change-point.ts';
export type { ChangeDetector, DetectorSignal } from './detectors/change-detector.ts';
export { type CusumOptions, type CusumState, cusum } from './detectors/cusum.ts';
export { type DdmOptions, type DdmState, ddm } from './detectors/ddm.ts';
export {
  type DriftKind,
  type KindOfDrift,
  type KindPoint,
  kindOfDrift,
} from './detectors/drift-kind.ts';
export type { LevelStretch } from './detectors/level-stretches.ts';
export type { LossBlock, LossBlocks } from './detectors/loss-blocks.ts';
export { type LossVerdict, lossVerdict } from './detectors/loss-verdict.ts';
export {
  type FoundChange,
  type LossChange,
  type LossDetector,
  type LossWatchOptions,
  type LossWatchState,
  lossWatch,
  type TimedLoss,
} from './detectors/loss-watch.ts';
export {
  type PageHinkleyOptions,
  type PageHinkleyState,
  pageHinkley,
} from './detectors/page-hinkley.ts';
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
export { kolmogorovAbove, kolmogorovLimitAbove, smirnovAbove } from './distributions/kolmogorov.ts';
export {
  normalAbove,
  normalBelow,
  normalQuantile,
  normalTwoSided,
} from './distributions/normal.ts';
export { studentQuantileTwoSided, studentTwoSided } from './distributions/student-t.ts';
export { type AdaptiveThresholdOptions, adaptiveThreshold } from './drift/adaptive-threshold.ts';
export { type BinnedDriftOptions, type BinnedMethod, binnedDrift } from './drift/binned-drift.ts';
export {
  binsOfCounts,
  type Category,
  type CategoryBins,
  type CategoryCounts,
  categoryBins,
  countCategories,
} from './drift/category-bins.ts';
export { type DatasetDrift, datasetDrift, type FeatureResult } from './drift/dataset-drift.ts';
export {
  hellingerDistance,
  jensenShannonDistance,
  jensenShannonDivergence,
  kullbackLeibler,
  largestDifference,
  populationStability,
  totalVariation,
} from './drift/divergence.ts';
export { type DriftOptions, type DriftResult, minimumCounts } from './drift/drift-result.ts';
export {
  ascendingDrift,
  type CategoricalDrift,
  categoricalDrift,
  countedDrift,
  type FeatureDriftOptions,
  type NumericDrift,
  numericDrift,
  type ShareDrift,
  shareDrift,
} from './drift/feature-drift.ts';
export {
  binOf,
  binsFor,
  countInBins,
  type NumericBins,
  quantileBins,
  valueBins,
} from './drift/numeric-bins.ts';
export { type SampleMethod, sampleDrift } from './drift/sample-drift.ts';
export {
  type DriftMethod,
  type Severity,
  type SeverityBands,
  severityBands,
  severityOf,
} from './drift/severity.ts';
export { type EmptyBins, sharesOf } from './drift/shares.ts';
export {
  type NormalisedDistance,
  normalisedWasserstein,
  wassersteinDistance,
} from './drift/wasserstein.ts';
export {
  type ContingencyOptions,
  type ContingencyTest,
  contingencyTest,
  isChiSquaredSafe,
} from './hypothesis/contingency.ts';
export {
  type KolmogorovSmirnov,
  type KolmogorovSmirnovMethod,
  kolmogorovSmirnov,
} from './hypothesis/kolmogorov-smirnov.ts';
export { type MannWhitney, mannWhitney } from './hypothesis/mann-whitney.ts';
export { benjaminiHochberg, bonferroni, holm } from './hypothesis/multiplicity.ts';
export { studentTest, type TTest, welchTest } from './hypothesis/t-test.ts';
export { fisherTest, type TwoRates, twoRateTest } from './hypothesis/two-by-two.ts';
export { type BootstrapOptions, bootstrapInterval } from './intervals/bootstrap-interval.ts';
export type { Interval } from './intervals/interval.ts';
export { meanDifferenceInterval, meanInterval } from './intervals/mean-interval.ts';
export { clopperPearsonInterval, type Rate, wilsonInterval } from './intervals/rate-interval.ts';
export { shareInterval } from './intervals/share-interval.ts';
export {
  type CovarianceSums,
  mergeCovariance,
  RunningCovariance,
} from './multivariate/covariance.ts';
export {
  type PrincipalComponents,
  principalComponents,
  reconstructionError,
} from './multivariate/principal-components.ts';
export {
  type ClassFigures,
  type ClassPerformance,
  classPerformance,
} from './performance/class-performance.ts';
export {
  effectiveRows,
  type IntervalMethod,
  type MeasuredFigure,
  meanFigure,
  shareFigure,
  type WeightSum,
} from './performance/measured-figure.ts';
export { type NumberPerformance, numberPerformance } from './performance/number-performance.ts';
export {
  type CalibrationBin,
  type ScoredRows,
  type ScorePerformance,
  scorePerformance,
} from './performance/score-performance.ts';
export { type WeightedConfusion, weightedConfusion } from './performance/weighted-confusion.ts';
export { Reservoir } from './random/reservoir.ts';
export { type SeededRandom, seededRandom } from './random/seeded-random.ts';
export { type PredictionErrors, predictionErrors } from './regression/prediction-errors.ts';
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
  type MeanDifferenceOptions,
  type MeanDifferenceState,
  type MeanDifferenceVerdict,
  meanDifference,
} from './sequential/mean-difference.ts';
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
export type { EvidenceStep } from './sequential/reference-evidence.ts';
export {
  type SampleRatioCounts,
  type SampleRatioOptions,
  type SampleRatioState,
  type SampleRatioVerdict,
  sampleRatioTest,
} from './sequential/sample-ratio-test.ts';
export type { SequentialTest } from './sequential/sequential-test.ts';
export { DistinctCount } from './sketch/distinct-count.ts';
export { encodeHistogram, mergeEncoded, quantilesOf } from './sketch/encoded-histogram.ts';
export { FrequentValues } from './sketch/frequent-values.ts';
export { LogLinearHistogram, type StoredHistogram } from './sketch/log-linear-histogram.ts';
export { incompleteBeta } from './special/incomplete-beta.ts';
export { incompleteGamma } from './special/incomplete-gamma.ts';
export { logBeta, logGamma } from './special/log-gamma.ts';
export { type Correlation, rankCorrelation } from './trend/correlation.ts';
export {
  type LinearTrend,
  linearTrend,
  type MonotonicTrend,
  monotonicTrend,
  theilSenSlope,
} from './trend/trend.ts';
