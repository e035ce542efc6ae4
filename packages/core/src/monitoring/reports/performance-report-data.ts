import type { Interval, MeasuredFigure } from '../../statistics/index.ts';
import type { EstimatedPerformance } from '../performance/estimated-performance.ts';
import type { LabelCoverage } from '../performance/label-coverage.ts';
import type { MeasuredPerformance } from '../performance/measured-rows.ts';
import type { SegmentPerformance } from '../performance/segment-performance.ts';

/** A performance report as plain JSON. */
export interface PerformanceReportData {
  readonly format: 1;
  readonly title: string;
  /** Rows without a truth. */
  readonly unlabelled: number;
  readonly overall: MeasuredPerformance;
  /** Side by side. */
  readonly versions: readonly {
    readonly version: string;
    readonly performance: MeasuredPerformance;
  }[];
  /** Worst first. */
  readonly segments: readonly SegmentPerformance[];
  /** Accuracy of classes, mean absolute error of numbers. */
  readonly overTime: readonly {
    /** Epoch ms. */
    readonly from: number;
    readonly rows: number;
    readonly value: number | null;
    readonly interval: Interval | null;
  }[];
  /** Of a deployment: how much of the truth is known, and what is to be expected of the rest. */
  readonly coverage?: LabelCoverage;
  readonly estimated?: EstimatedPerformance;
}

/** What a model is first asked for: accuracy, or the mean absolute error. */
export function mainFigure({ classes, numbers }: MeasuredPerformance): MeasuredFigure | undefined {
  return classes?.accuracy ?? numbers?.meanAbsolute;
}

/** The figures of a model by name, those first that are asked for first. */
export function figuresOf(
  measured: MeasuredPerformance,
): readonly (readonly [name: string, figure: MeasuredFigure])[] {
  const { classes, scores, numbers } = measured;
  return [
    ...(classes === undefined
      ? []
      : ([
          ['accuracy', classes.accuracy],
          ['macro precision', classes.macroPrecision],
          ['macro recall', classes.macroRecall],
          ['macro F1', classes.macroF1],
        ] as const)),
    ...(scores === undefined
      ? []
      : ([
          ['ROC area', scores.rocArea],
          ['log loss', scores.logLoss],
          ['Brier score', scores.brier],
          ['calibration error', scores.calibrationError],
        ] as const)),
    ...(numbers === undefined
      ? []
      : ([
          ['mean absolute error', numbers.meanAbsolute],
          ['root mean squared error', numbers.rootMeanSquared],
          ['bias', numbers.bias],
          ['mean absolute share', numbers.meanAbsoluteShare],
          ['R²', numbers.determination],
        ] as const)),
  ];
}
