import type { ModelSignature, TensorSpec } from '../../contracts/model-runtime.ts';
import type { Json, JsonObject } from '../../json.ts';
import { optional } from '../../tracking/run.ts';
import { isTable, numberOf } from './input-tensors.ts';
import type { LabelledPrediction, PredictionReading } from './suite.ts';
import { TestFault } from './test-fault.ts';

/** Rows with what was said of them. */
export interface Labelled extends LabelledPrediction {
  /** For the positive class, where there is one: what ranks the rows. */
  readonly score?: number;
}

/** All rows of a test, and which class its figures are about. */
export interface LabelledRows {
  readonly rows: readonly Labelled[];
  /** That of precision, recall and f1; all classes where none is named. */
  readonly positive?: string;
  /** That of the scores. */
  readonly ranked?: string;
}

/** Joins rows, their labels and the outputs they got. TestFault for what cannot be read so. */
export function readPredictions(
  signature: ModelSignature,
  test: { readonly label: string; readonly prediction?: PredictionReading },
  rows: readonly JsonObject[],
  outputs: readonly JsonObject[],
): LabelledRows {
  const { read, ...classes } = readerOf(signature, test.prediction ?? {});
  const labelled = rows.map((row, i) => {
    const label = Object.hasOwn(row, test.label) ? row[test.label] : undefined;
    if (label === undefined || label === null || label === '') {
      throw new TestFault(`row ${i + 1} has no label: column ${test.label} is missing`);
    }
    return { row, label, ...read(outputs[i] as JsonObject) };
  });
  return { rows: labelled, ...classes };
}

interface Reader extends Omit<LabelledRows, 'rows'> {
  read(output: JsonObject): Pick<Labelled, 'prediction' | 'probabilities' | 'score'>;
}

function readerOf({ outputs }: ModelSignature, reading: PredictionReading): Reader {
  const named = reading.probabilities ?? 'probabilities';
  const table = outputs.find((spec) => spec.name === named && isTable(spec));
  if (reading.probabilities !== undefined && table === undefined) {
    throw new TestFault(`there is no output ${named} with a column for each class`);
  }
  const main = mainOutput(outputs, reading, table);
  const { threshold, positive = '1', negative = '0' } = reading;
  if (threshold !== undefined) {
    if (main === undefined) throw new TestFault('a threshold needs an output that is a score');
    const read: Reader['read'] = (output) => {
      const score = scoreOf(output[main], main);
      return { score, prediction: score >= threshold ? positive : negative };
    };
    return { read, positive, ranked: positive };
  }
  const ranked = reading.positive ?? secondOfTwo(table);
  const read: Reader['read'] = (output) => {
    const probabilities = table && (output[table.name] as Readonly<Record<string, number>>);
    const prediction = main === undefined ? likeliest(probabilities ?? {}) : output[main];
    const score = ranked === undefined ? undefined : probabilities?.[ranked];
    return {
      prediction: prediction ?? null,
      ...optional('probabilities', probabilities),
      ...optional('score', score),
    };
  };
  return { read, ...optional('positive', reading.positive), ...optional('ranked', ranked) };
}

/** The output that is the prediction; undefined where the likeliest class is. */
function mainOutput(
  outputs: readonly TensorSpec[],
  { output }: PredictionReading,
  table: TensorSpec | undefined,
): string | undefined {
  const rest = outputs.filter((spec) => spec !== table).map(({ name }) => name);
  if (output !== undefined) {
    if (rest.includes(output)) return output;
    throw new TestFault(`there is no output ${output}; there are ${rest.join(', ')}`);
  }
  if (rest.includes('label')) return 'label';
  if (rest.length === 1) return rest[0];
  if (rest.length === 0) return undefined;
  throw new TestFault(
    `which output is the prediction? Name one of ${rest.join(', ')} as prediction.output`,
  );
}

function secondOfTwo(table: TensorSpec | undefined): string | undefined {
  return table?.columns?.length === 2 ? table.columns[1] : undefined;
}

function likeliest(probabilities: Readonly<Record<string, number>>): string | null {
  let best: string | null = null;
  for (const [name, value] of Object.entries(probabilities)) {
    if (best === null || value > (probabilities[best] as number)) best = name;
  }
  return best;
}

function scoreOf(value: Json | undefined, output: string): number {
  const single = Array.isArray(value) && value.length === 1 ? (value[0] as Json) : value;
  const score = numberOf(single ?? null);
  if (score !== undefined) return score;
  throw new TestFault(`output ${output} is no score: ${JSON.stringify(value)?.slice(0, 60)}`);
}
