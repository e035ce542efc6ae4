import { isKeelsonError } from '../../errors.ts';
import { decodeJson, isPlainObject, type Json } from '../../json.ts';
import { StepArtifact } from '../step-artifact.ts';
import { StepError } from '../step-policy.ts';
import { csvRows } from './csv-rows.ts';
import { textLines } from './text-lines.ts';

/** How rows are written in an artifact. */
export type RowFormat = 'csv' | 'jsonl' | 'json';

/** A row, or why there is none in its place. */
export type ReadRow =
  | { readonly row: Readonly<Record<string, unknown>> }
  | { readonly fault: string };

/** How rows are read. */
export interface ReadOptions {
  /** By the artifact's type and name when left out. */
  readonly format?: RowFormat;
  /** Of CSV: the JSON Schema of a row, which says what its texts are. */
  readonly schema?: Readonly<Record<string, unknown>>;
  /** Of CSV: texts that stand for nothing. */
  readonly missing: readonly string[];
  readonly signal: AbortSignal;
}

/** Longer lines are no rows. */
const maxRowLength = 16 * 2 ** 20;
/** A JSON array is read as a whole. */
const maxArrayBytes = 256 * 2 ** 20;
/** Rows of an array in memory are handed over in batches of so many, with a turn for others between. */
const batchRows = 5000;

/**
 * The rows of a list, or of an artifact of JSON lines, CSV with a head line, or a JSON array: streamed, in batches. A
 * StepError (`data`) for what is none of these.
 */
export async function* readRows(
  data: unknown,
  what: string,
  options: ReadOptions,
): AsyncGenerator<readonly ReadRow[], void, undefined> {
  if (Array.isArray(data)) yield* listed(data, options.signal);
  else if (data instanceof StepArtifact) yield* stored(data, what, options);
  else {
    throw new StepError(
      'data',
      `${what} must be a list of rows, or an artifact of JSON lines, CSV or a JSON array; not ${data === null ? 'null' : `a value of type ${typeof data}`}.`,
    );
  }
}

async function* stored(
  artifact: StepArtifact,
  what: string,
  options: ReadOptions,
): AsyncGenerator<readonly ReadRow[], void, undefined> {
  const format = options.format ?? formatOf(artifact);
  if (format === undefined) {
    throw new StepError(
      'permanent',
      `${what}, ${artifact.path}, is of type ${artifact.mimeType}; say what it is by the option format: csv, jsonl or json.`,
    );
  }
  if (format === 'json') {
    yield* listed(await wholeArray(artifact, what), options.signal);
    return;
  }
  const bytes = await artifact.open(undefined, options.signal);
  const lines = textLines(bytes, maxRowLength);
  yield* format === 'csv' ? csvRows(lines, { ...options, maxRowLength }) : jsonRows(lines);
}

async function wholeArray(artifact: StepArtifact, what: string): Promise<readonly unknown[]> {
  if (artifact.sizeBytes > maxArrayBytes) {
    throw new StepError(
      'data',
      `${what}, ${artifact.path}, has ${artifact.sizeBytes} bytes, and a JSON array is read as a whole; write JSON lines.`,
    );
  }
  const value = parsed(await artifact.text());
  if (Array.isArray(value)) return value;
  throw new StepError('data', `${what}, ${artifact.path}, is no JSON array.`);
}

async function* listed(
  rows: readonly unknown[],
  signal: AbortSignal,
): AsyncGenerator<readonly ReadRow[], void, undefined> {
  for (let from = 0; from < rows.length; from += batchRows) {
    signal.throwIfAborted();
    yield rows.slice(from, from + batchRows).map(asRow);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function* jsonRows(
  lines: AsyncIterable<readonly (string | null)[]>,
): AsyncGenerator<readonly ReadRow[], void, undefined> {
  for await (const batch of lines) {
    yield batch.flatMap((line) => {
      if (line === null) return [tooLong];
      if (line.trim() === '') return [];
      const value = parsed(line);
      return [value === undefined ? { fault: 'it is no JSON' } : asRow(value)];
    });
  }
}

const tooLong: ReadRow = { fault: `it has more than ${maxRowLength} characters` };

function asRow(value: unknown): ReadRow {
  return isPlainObject(value) ? { row: value } : { fault: 'it is no object' };
}

function parsed(text: string): Json | undefined {
  try {
    return decodeJson(text);
  } catch (error) {
    if (isKeelsonError(error, 'CORRUPT')) return undefined;
    throw error;
  }
}

function formatOf({ name, mimeType }: StepArtifact): RowFormat | undefined {
  const [type] = mimeType.split(';');
  if (type === 'text/csv' || /\.csv$/i.test(name)) return 'csv';
  if (/^application\/(jsonl|x-ndjson)$/.test(type ?? '') || /\.(jsonl|ndjson)$/i.test(name)) {
    return 'jsonl';
  }
  return type === 'application/json' || /\.json$/i.test(name) ? 'json' : undefined;
}
