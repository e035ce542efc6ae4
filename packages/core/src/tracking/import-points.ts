import { createHash } from 'node:crypto';
import type { Scope } from '../contracts/scope.ts';
import type { PointBatch, SeriesKey, SeriesSummary } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import { uuidV7 } from '../uuid.ts';
import type { RunPoints } from './export-layout.ts';
import type { PointBlock } from './point-blocks.ts';

/** A batch ends once it has so many points, or so many series. */
const batchPoints = 131_072;
const batchSeries = 500;

/**
 * Stores the points of a run. Its writer and the numbers of its batches follow from what is stored, so
 * that a part that was stored before, by an import that was killed, is not stored again.
 */
export async function appendRunPoints(
  scope: Pick<Scope, 'series' | 'workspace'>,
  runId: string,
  points: RunPoints,
  blocks: AsyncIterable<PointBlock>,
  onPoints: (count: number) => void,
): Promise<void> {
  const identity = JSON.stringify([scope.workspace, runId, points.sha256]);
  const writer = `import-${createHash('sha256').update(identity).digest('hex')}`;
  await appendAs(scope, writer, runId, blocks, onPoints);
}

/**
 * Stores the points of a run in place of all that are there of it: what another import has left, that
 * was killed before the run itself was here.
 */
export async function replaceRunPoints(
  scope: Pick<Scope, 'series' | 'workspace'>,
  runId: string,
  blocks: AsyncIterable<PointBlock>,
): Promise<void> {
  await scope.series.removeOwners(scope.workspace, [runId]);
  await appendAs(scope, `import-${uuidV7()}`, runId, blocks, () => undefined);
}

async function appendAs(
  scope: Pick<Scope, 'series' | 'workspace'>,
  writer: string,
  runId: string,
  blocks: AsyncIterable<PointBlock>,
  onPoints: (count: number) => void,
): Promise<void> {
  let sequence = 0;
  let waiting: PointBlock[] = [];
  let count = 0;
  const store = async (): Promise<void> => {
    sequence += 1;
    await scope.series.appendPoints(batchOf(scope.workspace, runId, waiting, { writer, sequence }));
    onPoints(count);
    waiting = [];
    count = 0;
  };
  for await (const block of blocks) {
    waiting.push(block);
    count += block.steps.length;
    if (count >= batchPoints || waiting.length >= batchSeries) await store();
  }
  if (waiting.length > 0) await store();
}

function batchOf(
  workspace: string,
  runId: string,
  blocks: readonly PointBlock[],
  number: Pick<PointBatch, 'writer' | 'sequence'>,
): PointBatch {
  const keys = [...new Set(blocks.map(({ key }) => key))];
  const count = blocks.reduce((sum, { steps }) => sum + steps.length, 0);
  const batch = {
    ...number,
    series: keys.map((key): SeriesKey => ({ workspace, owner: runId, key })),
    seriesIndex: new Uint32Array(count),
    steps: new Float64Array(count),
    timestamps: new Float64Array(count),
    values: new Float64Array(count),
  };
  let at = 0;
  for (const { key, steps, timestamps, values } of blocks) {
    batch.seriesIndex.fill(keys.indexOf(key), at, at + steps.length);
    batch.steps.set(steps, at);
    batch.timestamps.set(timestamps, at);
    batch.values.set(values, at);
    at += steps.length;
  }
  return batch;
}

/** Whether what is stored of a run's points is as many, of each metric, as its line says. */
export function hasPoints(
  summaries: ReadonlyMap<string, SeriesSummary> | undefined,
  { counts }: RunPoints,
): boolean {
  return (
    (summaries?.size ?? 0) === counts.length &&
    counts.every(([key, count]) => summaries?.get(key)?.count === count)
  );
}

/** CONFLICT: the run is here with other points. */
export function otherPoints(
  runId: string,
  summaries: ReadonlyMap<string, SeriesSummary> | undefined,
  { counts }: RunPoints,
): KeelsonError {
  const there = new Map(counts);
  const keys = [...new Set([...there.keys(), ...(summaries?.keys() ?? [])])];
  const key = keys.find((one) => summaries?.get(one)?.count !== there.get(one)) ?? '';
  const here = summaries?.get(key)?.count ?? 0;
  return new KeelsonError(
    'CONFLICT',
    `The run ${runId} is here already, with ${here} points of ${JSON.stringify(key)}, where the export has ${there.get(key) ?? 0}. Nothing of it was changed; import into another workspace, or remove what is here first.`,
    { details: { kind: 'run', id: runId, key, here, there: there.get(key) ?? 0 } },
  );
}
