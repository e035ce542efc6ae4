import { isDeepStrictEqual } from 'node:util';
import type { MetricWriterHealth } from '../contracts/metric-writer.ts';
import type { JsonObject } from '../json.ts';
import { describeOwner } from '../process-owner.ts';

/** How the metrics of a run fare in this process. */
export interface RunHealth {
  /** Points of all runs of this process that are logged and not yet durable. */
  readonly pendingPoints: number;
  /** Of those, in the spool file, because the store is away. */
  readonly spooledPoints: number;
  /** Points of this run that were lost because memory and spool were full, by metric; empty in health. */
  readonly lostPoints: Readonly<Record<string, number>>;
  /** What is wrong with the store; left out while nothing is. */
  readonly lastError?: string;
  /** When points were last made durable, in epoch ms. */
  readonly lastFlushAt?: number;
}

/** What a writer's health says of one run. */
export function healthOfRun(
  writer: MetricWriterHealth,
  workspace: string,
  runId: string,
): RunHealth {
  const { dropped, ...rest } = writer;
  return { ...rest, lostPoints: lostOfRun(dropped, workspace, runId) };
}

/** Of what was dropped, the points of one run, by metric. */
export function lostOfRun(
  dropped: MetricWriterHealth['dropped'],
  workspace: string,
  runId: string,
): Readonly<Record<string, number>> {
  const of = dropped.filter(
    ({ series }) => series.owner === runId && series.workspace === workspace,
  );
  return Object.fromEntries(of.map(({ series, points }) => [series.key, points]));
}

/**
 * What the body of a run is to say of the points that this process has lost of it. Each process counts for
 * itself, from its start on: several may log to one run. Empty when it says so already.
 */
export function withLost(
  body: JsonObject,
  lost: Readonly<Record<string, number>>,
  process: string = String(describeOwner()['instance']),
): JsonObject {
  if (Object.keys(lost).length === 0) return {};
  const all = (body['lostPoints'] ?? {}) as JsonObject;
  if (isDeepStrictEqual(all[process], lost)) return {};
  return { lostPoints: { ...all, [process]: { ...lost } } };
}

/** The points that were lost of a run, by metric, all its processes together. */
export function lostFromBody(body: JsonObject): Readonly<Record<string, number>> {
  const sums = new Map<string, number>();
  for (const lost of Object.values((body['lostPoints'] ?? {}) as Record<string, JsonObject>)) {
    for (const [key, points] of Object.entries(lost)) {
      sums.set(key, (sums.get(key) ?? 0) + Number(points));
    }
  }
  return Object.fromEntries(sums);
}
