import { createHash } from 'node:crypto';
import type { MemberSink } from '../archive/archive-writer.ts';
import { encodeRecordLine, type RecordLine } from '../archive/record-lines.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';
import { moved, withHistory } from '../operations/moving-records.ts';
import type { RunPoints } from './export-layout.ts';
import type { MovedCounts } from './moved-counts.ts';
import { blockPoints, encodePointBlock } from './point-blocks.ts';

/** How many points are asked of the store at once. */
const pagePoints = 524_288;

/** Where the parts of a run go. */
export interface RunSinks {
  readonly records: MemberSink;
  points(): Promise<MemberSink>;
  /** Told of each content, with the artifact that names it. */
  content(sha256: string, sizeBytes: number): void;
  dataset(record: StoredRecord): void;
  metric(key: string): void;
  /** Told of what was written, a part at a time. */
  counted(what: keyof MovedCounts, count: number): void;
}

/**
 * Writes a run that has ended: its points, then the records that hang on it, then the run itself. Answers
 * false, having written nothing, for one that is gone or runs. STALE, naming it, when it was resumed
 * while it was read.
 */
export async function exportRun(
  scope: Scope,
  found: StoredRecord,
  sinks: RunSinks,
  signal: AbortSignal,
): Promise<boolean> {
  const line = await withHistory(scope, found);
  if (line === undefined || line.record.columns['status'] === 'RUNNING') return false;
  const points = await exportPoints(scope, found.id, sinks, signal);
  await exportParts(scope, found.id, sinks, signal);
  const now = await scope.metadata.find(scope.workspace, 'run', found.id);
  if (now?.columns['status'] === 'RUNNING') throw resumed(found.id);
  await writeLine(sinks.records, {
    ...line,
    more: { sha256: points.sha256, blocks: points.blocks, counts: points.counts },
  });
  return true;
}

async function exportParts(
  scope: Scope,
  runId: string,
  sinks: RunSinks,
  signal: AbortSignal,
): Promise<void> {
  const ofRun = { where: columnIs('runId', runId), signal };
  for await (const record of everyRecord(scope, 'param_entry', ofRun)) {
    await writeLine(sinks.records, { record: moved(record) });
    sinks.counted('paramEntries', 1);
  }
  for await (const record of everyRecord(scope, 'artifact', { ...ofRun, facets: ['metadata'] })) {
    await writeLine(sinks.records, { record: moved(record) });
    const { sha256, sizeBytes } = record.columns;
    sinks.content(String(sha256), Number(sizeBytes));
    sinks.counted('artifacts', 1);
  }
  const into = { where: columnIs('to', runId), signal };
  for await (const edge of everyRecord(scope, 'edge', into)) {
    const from = String(edge.columns['from']);
    const dataset = await scope.metadata.find(scope.workspace, 'dataset', from);
    // What else a run may come from is no part of an experiment.
    if (dataset === undefined) continue;
    sinks.dataset(dataset);
    await writeLine(sinks.records, { record: moved(edge) });
    sinks.counted('datasetLinks', 1);
  }
}

async function exportPoints(
  scope: Scope,
  runId: string,
  sinks: RunSinks,
  signal: AbortSignal,
): Promise<RunPoints> {
  const summaries = await scope.series.summaries(scope.workspace, runId);
  const hash = createHash('sha256');
  const counts: (readonly [string, number])[] = [];
  let blocks = 0;
  for (const { key, count } of summaries) {
    const sink = await sinks.points();
    const address = { workspace: scope.workspace, owner: runId, key };
    let offset = 0;
    while (offset < count) {
      signal.throwIfAborted();
      const page = await scope.series.points(address, { offset, limit: pagePoints });
      const length = page.steps.length;
      if (length === 0) break;
      for (let at = 0; at < length; at += blockPoints) {
        const part = (column: Float64Array): Float64Array => column.subarray(at, at + blockPoints);
        const { steps, timestamps, values } = page;
        const columns = { steps: part(steps), timestamps: part(timestamps), values: part(values) };
        const bytes = encodePointBlock({ runId, key, ...columns });
        hash.update(bytes);
        await sink.write(bytes);
        blocks += 1;
      }
      offset += length;
      sinks.counted('points', length);
    }
    if (offset !== count) throw resumed(runId);
    counts.push([key, count]);
    sinks.metric(key);
  }
  return { sha256: hash.digest('hex'), blocks, counts };
}

async function writeLine(sink: MemberSink, line: RecordLine): Promise<void> {
  await sink.write(Buffer.from(encodeRecordLine(line)));
}

function resumed(runId: string): KeelsonError {
  return new KeelsonError(
    'STALE',
    `Run ${runId} was logged to while it was exported; export again once it has ended.`,
    { details: { runId } },
  );
}
