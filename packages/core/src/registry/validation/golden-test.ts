import type { ModelSignature, TensorSpec } from '../../contracts/model-runtime.ts';
import { isPlainObject, type Json, type JsonObject } from '../../json.ts';
import { isTable, numberOf } from './input-tensors.ts';
import type { GoldenFigures } from './report.ts';
import type { GoldenCase, GoldenTest } from './suite.ts';
import type { TestContext, Verdict } from './test-context.ts';
import { TestFault } from './test-fault.ts';
import { type Difference, findDifference, floatTolerance, type Tolerance } from './tolerance.ts';

const shown = 20;

/** Asks golden inputs, and compares. */
export async function runGolden(
  { model, rows }: TestContext,
  test: GoldenTest & { readonly data: string },
): Promise<Verdict> {
  const cases = rows(test.data).map(goldenCase);
  const outputs = await model.predictRows(cases.map(({ inputs }) => inputs));
  const found = cases.flatMap(({ expected }, i) => {
    const compared = expectedBySpec(model.signature, expected, i);
    const difference = differenceOf(model.signature, compared, outputs[i] as JsonObject, test);
    return difference === undefined ? [] : [{ case: i + 1, ...difference }];
  });
  const figures: GoldenFigures = {
    ...{ test: 'golden', cases: cases.length, differing: found.length },
    differences: found.slice(0, shown),
  };
  const [first] = found;
  if (first === undefined) {
    return { outcome: 'PASSED', detail: `${cases.length} of ${cases.length} as expected`, figures };
  }
  const told = `case ${first.case}, ${first.place}: ${brief(first.actual)} instead of ${brief(first.expected)}`;
  const detail = `${found.length} of ${cases.length} differ; ${told}`;
  return { outcome: 'FAILED', detail, figures };
}

/** A row as a case; in CSV, columns `expected.<output>` are what is expected. TestFault for what is none. */
export function goldenCase(row: JsonObject, index: number): GoldenCase {
  const { inputs, expected } = row;
  if (isPlainObject(inputs) && isPlainObject(expected)) {
    if (Object.keys(expected).length > 0) return { inputs, expected } as GoldenCase;
  } else {
    const entries = Object.entries(row);
    const wanted = entries.flatMap(([key, value]) =>
      key.startsWith(prefix) ? [[key.slice(prefix.length), value] as const] : [],
    );
    const given = entries.filter(([key]) => !key.startsWith(prefix));
    if (wanted.length > 0) {
      return { inputs: Object.fromEntries(given), expected: Object.fromEntries(wanted) };
    }
  }
  throw new TestFault(
    `case ${index + 1} is no golden case: it needs inputs, and something expected of at least one output`,
  );
}

const prefix = 'expected.';

/** The first difference of two rows of outputs. Where nothing is said, numbers with a fraction may be a little off. */
export function differenceOf(
  { outputs: specs }: ModelSignature,
  expected: JsonObject,
  actual: JsonObject,
  test: { readonly tolerance?: Tolerance; readonly outputs?: Readonly<Record<string, Tolerance>> },
): Difference | undefined {
  for (const [name, wanted] of Object.entries(expected)) {
    const spec = specs.find((each) => each.name === name);
    const usual = spec !== undefined && isFloat(spec) ? floatTolerance : {};
    const own = test.outputs !== undefined && Object.hasOwn(test.outputs, name);
    const tolerance = own ? test.outputs?.[name] : test.tolerance;
    const found = findDifference(wanted as Json, actual[name], tolerance ?? usual, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isFloat({ datatype }: TensorSpec): boolean {
  return datatype.startsWith('FP') || datatype === 'BF16';
}

/** What is expected, in the form in which outputs come. TestFault for an output that there is not. */
function expectedBySpec(
  { outputs }: ModelSignature,
  expected: JsonObject,
  index: number,
): JsonObject {
  const made: Record<string, Json> = {};
  for (const [key, value] of Object.entries(expected)) {
    const spec = outputs.find(({ name }) => name === key);
    if (spec !== undefined) {
      made[key] = formOf(spec, value as Json);
      continue;
    }
    const table = outputs.find((each) => isTable(each) && key.startsWith(`${each.name}.`));
    const column = table && key.slice(table.name.length + 1);
    if (table === undefined || column === undefined || !table.columns?.includes(column)) {
      const known = outputs.map(({ name }) => name).join(', ');
      throw new TestFault(`case ${index + 1} expects ${key}, and the outputs are ${known}`);
    }
    const others = (made[table.name] ?? {}) as JsonObject;
    made[table.name] = { ...others, [column]: element(table, value as Json) };
  }
  return made;
}

/** Lists by columns become objects; nested lists flat ones. */
function formOf(spec: TensorSpec, value: Json): Json {
  if (!Array.isArray(value)) {
    if (!isPlainObject(value)) return element(spec, value);
    const entries = Object.entries(value as JsonObject);
    return Object.fromEntries(entries.map(([key, item]) => [key, element(spec, item as Json)]));
  }
  const flat = (value.flat(32) as Json[]).map((item) => element(spec, item));
  const { columns = [] } = spec;
  if (!isTable(spec) || columns.length !== flat.length) return flat;
  return Object.fromEntries(columns.map((name, i) => [name, flat[i] as Json]));
}

/** Text that stands for a number, where the output has numbers: CSV knows nothing else. */
function element({ datatype }: TensorSpec, value: Json): Json {
  if (typeof value !== 'string' || datatype === 'BYTES') return value;
  if (datatype === 'BOOL') return value === 'true' ? true : value === 'false' ? false : value;
  const number = numberOf(value);
  // Digits beyond what a number can hold stay digits, as in outputs.
  const isLong = datatype.endsWith('INT64') && !Number.isSafeInteger(number);
  return number === undefined || isLong ? value : number;
}

/** A value in a sentence. */
function brief(value: Json): string {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? '');
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
