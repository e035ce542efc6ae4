import {
  type Calibration,
  type ExpectedClassification,
  type ExpectedFigure,
  expectedClassification,
  fitCalibration,
  type Interval,
  momentsOf,
  populationDeviation,
} from '../../statistics/index.ts';
import {
  answersOf,
  areProbabilities,
  type MeasureOptions,
  measureRows,
  type PerformanceRow,
  scoredClass,
  taskOf,
} from './measured-rows.ts';

/** A figure that is to be expected, and between what the realised one lies but for once in 370 times. Plain JSON. */
export type EstimatedFigure = ExpectedFigure & { readonly band: Interval | null };

/** What the probabilities of answers say of how right they are, while their truth is not known. Plain JSON. */
export type EstimatedPerformance = {
  readonly outcome: 'measured' | 'not-enough-data';
  /** Why there is not enough. */
  readonly reason?: string;
  /** Answers with probabilities that it is of. */
  readonly rows: number;
  /** Labelled answers that the probabilities were calibrated by, and the classes whose were corrected. */
  readonly reference: { readonly rows: number; readonly calibrated: readonly string[] };
  readonly figures?: Readonly<
    Record<'accuracy' | 'macroPrecision' | 'macroRecall' | 'macroF1' | 'rocArea', EstimatedFigure>
  >;
  /** Realised accuracy of ten chunks of the reference: mean ± 3 deviations; whether the estimate is outside. */
  readonly usual?: Interval & { readonly isOutside: boolean };
  /** On the answers whose truth is known by now alone: where both differ by more than chance, the concept has drifted. */
  readonly beside?: {
    readonly rows: number;
    readonly estimated: number;
    readonly realised: number;
    /** Realised less estimated, in standard errors. */
    readonly deviations: number;
    readonly hasDiverged: boolean;
  };
};

/** Answers needed to calibrate by, and to estimate of. */
const minimumReference = 200;
const minimumRows = 30;
const chunks = 10;
const deviations = 3;

/**
 * Estimates how right answers are from their probabilities, calibrated by labelled ones that were given before (in the order of
 * their time). Assumes that what makes an answer right has not changed: that is what `beside` looks at.
 */
export function estimatePerformance(
  reference: readonly PerformanceRow[],
  answers: readonly Omit<PerformanceRow, 'actual'>[],
  labelled: readonly PerformanceRow[],
  options: MeasureOptions = {},
): EstimatedPerformance {
  const task = options.task ?? taskOf(reference) ?? taskOf(labelled);
  const how = task === undefined ? options : { ...options, task };
  const positive = scoredClass(reference) ?? scoredClass(labelled);
  const scored = (rows: readonly PerformanceRow[]): readonly Scored[] =>
    answersOf(rows, options.threshold ?? 0.5, positive).filter(
      (row, i): row is Scored =>
        rows[i]?.predicted !== undefined && areProbabilities(row.probabilities),
    );
  const known = scored(reference);
  const classes = classesOf(known);
  const mine = scored(answers.map((row) => ({ ...row, actual: null })));
  const nothing = (reason: string): EstimatedPerformance => ({
    ...{ outcome: 'not-enough-data', reason, rows: mine.length },
    reference: { rows: known.length, calibrated: [] },
  });
  if (task === 'regression') {
    return nothing('Errors of numbers need a regressor: see estimateErrors.');
  }
  if (mine.length < minimumRows) {
    return nothing(`${mine.length} of ${minimumRows} answers that are needed have probabilities.`);
  }
  if (known.length < minimumReference || classes.length < 2) {
    return nothing(
      `${known.length} of ${minimumReference} labelled answers that are needed to calibrate have probabilities.`,
    );
  }
  const calibration = fitCalibration(columnsOf(known, classes));
  const expected = expectedClassification(calibration, columnsOf(mine, classes));
  const figures = bandsOf(expected, mine.length / known.length);
  return {
    outcome: 'measured',
    rows: mine.length,
    reference: {
      rows: known.length,
      calibrated: classes.filter((_, k) => calibration.maps[k] !== null),
    },
    figures,
    ...usualOf(reference, how, expected.accuracy.value),
    ...besideOf(calibration, scored(labelled), known.length),
  };
}

type Scored = ReturnType<typeof answersOf>[number] & {
  readonly probabilities: Readonly<Record<string, number>>;
};

function classesOf(rows: readonly Scored[]): readonly string[] {
  const names = rows.flatMap(({ actual, probabilities }) => [
    actual,
    ...Object.keys(probabilities),
  ]);
  return [...new Set(names)].sort();
}

function columnsOf(rows: readonly Scored[], classes: readonly string[]) {
  return {
    classes,
    actual: rows.map(({ actual }) => actual),
    predicted: rows.map(({ predicted }) => predicted),
    probabilities: rows.map(({ probabilities }) =>
      Float64Array.from(classes, (name) =>
        Object.hasOwn(probabilities, name) ? (probabilities[name] as number) : 0,
      ),
    ),
    weights: rows.map(({ weight }) => weight),
  };
}

/** The calibration is as uncertain as a sample of the reference's size: `ratio` rows for each of its. */
function bandsOf(
  { accuracy, macroPrecision, macroRecall, macroF1, rocArea }: ExpectedClassification,
  ratio: number,
): NonNullable<EstimatedPerformance['figures']> {
  const banded = ({ value, standardError }: ExpectedFigure): EstimatedFigure => {
    if (value === null || standardError === null) return { value, standardError, band: null };
    const error = standardError * Math.sqrt(1 + ratio);
    return {
      value,
      standardError: error,
      band: {
        low: Math.max(0, value - deviations * error),
        high: Math.min(1, value + deviations * error),
      },
    };
  };
  return {
    accuracy: banded(accuracy),
    macroPrecision: banded(macroPrecision),
    macroRecall: banded(macroRecall),
    macroF1: banded(macroF1),
    rocArea: banded(rocArea),
  };
}

function usualOf(
  reference: readonly PerformanceRow[],
  how: MeasureOptions,
  estimate: number | null,
): Pick<EstimatedPerformance, 'usual'> {
  const size = Math.floor(reference.length / chunks);
  const figures = Array.from({ length: chunks }, (_, i) => {
    const part = reference.slice(i * size, i === chunks - 1 ? undefined : (i + 1) * size);
    return measureRows(part, how).classes?.accuracy.value ?? null;
  }).filter((each) => each !== null);
  if (figures.length < chunks || estimate === null) return {};
  const moments = momentsOf(figures);
  const spread = deviations * populationDeviation(moments);
  const [low, high] = [Math.max(0, moments.mean - spread), Math.min(1, moments.mean + spread)];
  return { usual: { low, high, isOutside: estimate < low || estimate > high } };
}

function besideOf(
  calibration: Calibration,
  labelled: readonly Scored[],
  reference: number,
): Pick<EstimatedPerformance, 'beside'> {
  if (labelled.length < minimumRows) return {};
  const { accuracy } = expectedClassification(
    calibration,
    columnsOf(labelled, calibration.classes),
  );
  if (accuracy.value === null || accuracy.standardError === null) return {};
  let [right, weight] = [0, 0];
  for (const row of labelled) {
    weight += row.weight;
    if (row.actual === row.predicted) right += row.weight;
  }
  const realised = right / weight;
  const error = accuracy.standardError * Math.sqrt(1 + labelled.length / reference);
  const gap = realised - accuracy.value;
  const away = error > 0 ? gap / error : 0;
  return {
    beside: {
      ...{ rows: labelled.length, estimated: accuracy.value, realised, deviations: away },
      hasDiverged: Math.abs(away) > deviations,
    },
  };
}
