import type {
  PointBatch,
  Rollup,
  RowBatch,
  SeriesKey,
  StreamKey,
} from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, isStorableText } from '../json.ts';

/** Workspaces, owners, keys, streams, writers, figures: the longest text in UTF-16 units. */
const nameLength = 512;
/** The longest `data` of a rollup, in UTF-8 bytes. */
const rollupBytes = 1_048_576;

/**
 * Refuses, as INVALID, a batch of points that breaks a rule of the contract. Addresses that `isKnown`
 * were looked at before.
 */
export function assertPointBatch(
  batch: PointBatch,
  isKnown: (key: SeriesKey) => boolean = () => false,
): void {
  assertWriter(batch.writer, batch.sequence);
  for (const key of batch.series) if (!isKnown(key)) assertSeriesKey(key);
  const { seriesIndex, steps, timestamps, values, series } = batch;
  const count = steps.length;
  if (seriesIndex.length !== count || timestamps.length !== count || values.length !== count) {
    throw invalid(
      `A batch of points has ${seriesIndex.length} series indexes, ${count} steps, ` +
        `${timestamps.length} timestamps and ${values.length} values; they must be equally many.`,
    );
  }
  for (let i = 0; i < count; i++) {
    if (!Number.isSafeInteger(steps[i])) {
      throw invalid(`Step ${steps[i]} is not a safe integer; metric steps are whole numbers.`);
    }
    if (!Number.isFinite(timestamps[i])) {
      throw invalid(`Timestamp ${timestamps[i]} is not a time; give epoch milliseconds.`);
    }
    if ((seriesIndex[i] as number) >= series.length) {
      throw invalid(`A point names series ${seriesIndex[i]} of a batch with ${series.length}.`);
    }
  }
}

/** Which rows are to be erased. Refuses, as INVALID, what is no such list. */
export function checkErasedRows(
  stream: StreamKey,
  column: string,
  values: readonly string[],
): ReadonlySet<string> {
  assertStreamKey(stream);
  assertName(column, 'a column name', 0);
  if (!Array.isArray(values) || values.length > 1000) {
    throw invalid('Rows are erased by a list of at most 1,000 values.');
  }
  for (const value of values) assertText(value, 'A value');
  return new Set(values);
}

/** Refuses, as INVALID, a batch of rows that breaks a rule of the contract. */
export function assertRowBatch(batch: RowBatch): void {
  assertWriter(batch.writer, batch.sequence);
  assertStreamKey(batch.stream);
  const count = batch.at.length;
  for (const at of batch.at) {
    if (!Number.isFinite(at)) throw invalid(`Time ${at} of a row is not a time; give epoch ms.`);
  }
  for (const [name, column] of Object.entries(batch.columns)) {
    assertName(name, 'a column name', 0);
    if (column.values.length !== count) {
      throw invalid(`Column ${name} has ${column.values.length} values for ${count} rows.`);
    }
    if (column.type === 'number') {
      if (column.missing !== undefined && column.missing.length !== count) {
        throw invalid(`Column ${name} has ${column.missing.length} flags for ${count} rows.`);
      }
      continue;
    }
    for (const text of column.values) {
      if (text === null || (typeof text === 'string' && isStorableText(text))) continue;
      assertText(text, `column ${name}`);
    }
  }
}

/** Refuses, as INVALID, a rollup that breaks a rule of the contract. */
export function assertRollup(rollup: Rollup): void {
  assertStreamKey(rollup.stream);
  assertName(rollup.name, 'the name of a rollup');
  assertName(rollup.writer, 'writer');
  if (!(Number.isSafeInteger(rollup.windowMs) && rollup.windowMs > 0)) {
    throw invalid(
      `The window ${rollup.windowMs} of a rollup is not a positive whole number of ms.`,
    );
  }
  if (!Number.isFinite(rollup.at)) throw invalid(`Time ${rollup.at} of a rollup is not a time.`);
  assertText(rollup.data, 'data of a rollup');
  const bytes = Buffer.byteLength(rollup.data);
  if (bytes > rollupBytes) {
    throw invalid(`Data of a rollup has ${bytes} bytes; at most ${rollupBytes} are allowed.`);
  }
}

/** Refuses, as INVALID, an address that no store can keep. */
export function assertSeriesKey(key: SeriesKey): void {
  assertName(key.workspace, 'workspace');
  assertName(key.owner, 'owner');
  assertName(key.key, 'metric key');
}

/** Refuses, as INVALID, an address that no store can keep. */
export function assertStreamKey(key: StreamKey): void {
  assertName(key.workspace, 'workspace');
  assertName(key.stream, 'stream');
  assertName(key.owner, 'owner');
}

/** Refuses, as INVALID, what is no moment: NaN and everything but numbers. Infinities are before or after all. */
export function assertTime(value: number, label: string): void {
  if (typeof value === 'number' && !Number.isNaN(value)) return;
  throw invalid(`${label} must be a time in epoch ms, not ${String(value)}.`);
}

/** Refuses, as INVALID, a range, limit or number of buckets that makes no sense. */
export function assertWhole(value: number | undefined, label: string, least: number): void {
  if (value === undefined) return;
  if (!Number.isSafeInteger(value) || value < least) {
    const rule = least === Number.MIN_SAFE_INTEGER ? 'a safe integer' : `an integer from ${least}`;
    throw invalid(`${label} must be ${rule}, not ${value}.`);
  }
}

function assertWriter(writer: string, sequence: number): void {
  assertName(writer, 'writer');
  assertWhole(sequence, 'sequence', 1);
}

function assertName(value: string, label: string, leastLength = 1): void {
  assertText(value, label, nameLength);
  if (value.length < leastLength) throw invalid(`${label} must not be empty.`);
}

function invalid(message: string): KeelsonError {
  return new KeelsonError('INVALID', message);
}
