import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import type { RunRecords } from './run-records.ts';

/** A batch of points of runs of one workspace; columns are of equal length. */
export interface AwayPoints {
  /** A random id, new for each writer. */
  readonly writer: string;
  /** 1, 2, 3 … of the writer. */
  readonly sequence: number;
  readonly series: readonly { readonly runId: string; readonly key: string }[];
  /** For each point the place of its series. */
  readonly seriesIndex: ArrayLike<number>;
  readonly steps: ArrayLike<number>;
  /** Epoch ms. */
  readonly timestamps: ArrayLike<number>;
  readonly values: ArrayLike<number>;
}

/** More points in one batch are refused: a batch is one transaction. */
const mostPoints = 262_144;

/** Stores a batch that came over a wire, for runs that there are. */
export async function appendAway(
  scope: Pick<Scope, 'series' | 'workspace'>,
  records: Pick<RunRecords, 'find'>,
  batch: AwayPoints,
): Promise<void> {
  const { workspace } = scope;
  const checked = checkedBatch(batch);
  const missing: string[] = [];
  for (const runId of new Set(checked.series.map((one) => one.runId))) {
    if ((await records.find(runId)) === undefined) missing.push(runId);
  }
  if (missing.length > 0) {
    throw new KeelsonError(
      'NOT_FOUND',
      `There is no run ${missing[0]?.slice(0, 100)} in workspace ${workspace}; its metric points cannot be stored.`,
      { details: { runIds: missing } },
    );
  }
  const { writer, sequence, series, seriesIndex, steps, timestamps, values } = checked;
  await scope.series.appendPoints({
    writer,
    sequence,
    series: series.map(({ runId, key }) => ({ workspace, owner: runId, key })),
    seriesIndex: Uint32Array.from(seriesIndex),
    steps: Float64Array.from(steps),
    timestamps: Float64Array.from(timestamps),
    values: Float64Array.from(values),
  });
}

function checkedBatch(batch: AwayPoints): AwayPoints {
  if (typeof batch !== 'object' || batch === null) throw invalid('is no batch');
  const { writer, sequence, series } = batch;
  assertText(writer, 'The writer of a batch', 255);
  if (!Number.isSafeInteger(sequence)) throw invalid('has no sequence number');
  if (!Array.isArray(series)) throw invalid('has no list of series');
  for (const one of series as AwayPoints['series']) {
    if (typeof one !== 'object' || one === null) throw invalid('has a series that is none');
    if (assertText(one.runId, 'The run of a series', 1000) === '') throw invalid('names no run');
    if (assertText(one.key, 'A metric key', 255) === '') throw invalid('names no metric');
  }
  for (const name of ['seriesIndex', 'steps', 'timestamps', 'values'] as const) {
    const column: unknown = batch[name];
    const isColumn = Array.isArray(column) || ArrayBuffer.isView(column);
    if (!isColumn) throw invalid(`has no column ${name}`);
    if (batch[name].length > mostPoints) throw invalid(`has more than ${mostPoints} points`);
  }
  for (let i = 0; i < batch.seriesIndex.length; i++) {
    const place = batch.seriesIndex[i];
    if (typeof place === 'number' && place >= 0 && place < series.length) continue;
    throw invalid(
      `names series ${typeof place === 'number' ? place : typeof place}, which it has not`,
    );
  }
  return batch;
}

function invalid(what: string): KeelsonError {
  return new KeelsonError('INVALID', `The batch of metric points ${what}.`);
}
