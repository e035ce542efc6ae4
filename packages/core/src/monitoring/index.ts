export type { ColumnType } from '../pipelines/data-validation/data-profile.ts';
export {
  type Baseline,
  type BaselineOptions,
  baselineOf,
  type FeatureBaseline,
  type FeatureBins,
  type FeatureCounts,
} from './baselines/baseline.ts';
export { type FileRows, mostFileRows, readRowsOfFile } from './baselines/rows-of-file.ts';
export type { DataTable } from './data-columns.ts';
export type { AnalyseDriftOptions, DriftService } from './drift/drift-service.ts';
export type { AnalysisType, KeptAnalysis } from './drift/kept-analysis.ts';
export {
  type MultivariateBaseline,
  type MultivariateDrift,
  type MultivariateOptions,
  multivariateBaseline,
  multivariateDrift,
} from './drift/multivariate.ts';
export type { BusinessFigures, BusinessMetric } from './performance/business-metrics.ts';
export type { Outcome, OutcomeResult } from './performance/business-outcomes.ts';
export type { ComparedSide, Comparison, SideTest } from './performance/compare-versions.ts';
export {
  type EstimatedErrors,
  estimateErrors,
  type RegressionRow,
  type Regressor,
} from './performance/estimated-errors.ts';
export type { EstimatedFigure, EstimatedPerformance } from './performance/estimated-performance.ts';
export type { LabelCoverage } from './performance/label-coverage.ts';
export type { LabelDelay } from './performance/label-delay.ts';
export type {
  MeasuredPerformance,
  MeasureOptions,
  PerformanceTask,
} from './performance/measured-rows.ts';
export type {
  BusinessOptions,
  ComparedBy,
  CompareOptions,
  PerformanceService,
} from './performance/performance-service.ts';
export type { SegmentPerformance } from './performance/segment-performance.ts';
export type { ColumnFigures, ColumnHistogram } from './reports/column-figures.ts';
export { type DriftReport, driftReport } from './reports/drift-report.ts';
export type {
  ColumnDrift,
  ColumnRole,
  DriftReportData,
  DriftReportOptions,
  SegmentDrift,
  ShareKind,
} from './reports/drift-report-data.ts';
export {
  type PerformanceReport,
  type PerformanceReportOptions,
  performanceReport,
} from './reports/performance-report.ts';
export type { PerformanceReportData } from './reports/performance-report-data.ts';
export {
  countForRule,
  judgeRule,
  type KnownRow,
  type MonitorRule,
  type RuleCounts,
  type RuleReference,
  type RuleState,
  type RuleVerdict,
  replayRule,
  type StratumCut,
  stratumOf,
} from './rule.ts';
export {
  type BaselineDrift,
  type BaselineDriftOptions,
  baselineDrift,
} from './windows/baseline-drift.ts';
export {
  type DataQuality,
  type DataQualityOptions,
  dataQuality,
  type QualityCheck,
  type QualityFinding,
} from './windows/data-quality.ts';
export {
  type CountedPrediction,
  mergeWindows,
  WindowCounter,
  type WindowCounts,
} from './windows/window-counts.ts';
