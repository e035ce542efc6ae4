// What the writer thread of a remote platform loads in the place of a database.
import { setTimeout as wait } from 'node:timers/promises';
import type { PointTarget } from '../contracts/point-target.ts';
import type { PointBatch, SeriesSummary } from '../contracts/series-store.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { decodeJson, type Json } from '../json.ts';
import { brokenOff, callServer, type RemoteServer, retryAfter } from './http-call.ts';
import { encodePoints, pointsMediaType } from './remote-points.ts';

const pointsMs = 30_000;
const beatMs = 10_000;
/** A server that asks for more is asked again all the same. */
const longestWaitMs = 30_000;

/** Opens nothing: each batch is a request. */
export async function openPointTarget(options: Json): Promise<PointTarget> {
  const server = options as unknown as RemoteServer;
  return {
    store: {
      appendPoints: (batch) => append(server, batch),
      summaries: (_workspace, runId, keys) => summaries(server, runId, keys),
      fold: async () => 0,
    },
    async beat(runs) {
      const runIds = runs.map((run) => run.runId);
      await post(server, '/remote/heartbeats', JSON.stringify({ runIds }), beatMs);
    },
    // The end of a run is told as such.
    endBeats: async () => undefined,
    close: async () => undefined,
  };
}

/**
 * Stores a batch under its number. Where runs are not there, their points are left out, which INVALID says with
 * `details.lost`, the places of the series that were, once the others are stored.
 */
async function append(server: RemoteServer, batch: PointBatch): Promise<void> {
  try {
    await send(server, batch);
  } catch (error) {
    const gone = isKeelsonError(error, 'NOT_FOUND') ? error.details['runIds'] : undefined;
    if (!Array.isArray(gone)) throw mended(error);
    const lost = new Set(batch.series.flatMap(({ owner }, i) => (gone.includes(owner) ? [i] : [])));
    const rest = without(batch, lost);
    if (rest.steps.length > 0) await send(server, rest);
    throw new KeelsonError('INVALID', (error as Error).message, { details: { lost: [...lost] } });
  }
}

/** Of what a wire has damaged another attempt may do better. */
function mended(error: unknown): unknown {
  if (!isKeelsonError(error, 'INVALID') || error.details['damaged'] !== true) return error;
  return new KeelsonError('UNAVAILABLE', error.message, { cause: error });
}

/** The batch without the points of series; the same number, since none of it was stored. */
function without(batch: PointBatch, lost: ReadonlySet<number>): PointBatch {
  const kept: number[] = [];
  batch.seriesIndex.forEach((place, i) => {
    if (!lost.has(place)) kept.push(i);
  });
  const pick = (column: Float64Array): Float64Array =>
    Float64Array.from(kept, (i) => column[i] as number);
  // Series that are named without a point would be asked for again.
  const names = [...new Set(kept.map((i) => batch.seriesIndex[i] as number))];
  const places = new Map(names.map((place, i) => [place, i]));
  return {
    ...batch,
    series: names.map((place) => batch.series[place] as PointBatch['series'][number]),
    seriesIndex: Uint32Array.from(
      kept,
      (i) => places.get(batch.seriesIndex[i] as number) as number,
    ),
    steps: pick(batch.steps),
    timestamps: pick(batch.timestamps),
    values: pick(batch.values),
  };
}

async function send(server: RemoteServer, batch: PointBatch): Promise<void> {
  const series = batch.series.map(({ owner, key }) => ({ runId: owner, key }));
  const bytes = encodePoints({ ...batch, series });
  await post(server, '/remote/points', bytes, pointsMs, pointsMediaType);
}

async function summaries(
  server: RemoteServer,
  runId: string,
  keys: readonly string[] | undefined,
): Promise<readonly SeriesSummary[]> {
  const call = { service: 'tracking', method: 'getMetricSummaries', args: [runId] };
  try {
    const text = await post(server, '/remote/calls', JSON.stringify(call), pointsMs);
    const { result } = decodeJson(text) as unknown as { result: readonly SeriesSummary[] };
    return keys === undefined ? result : result.filter(({ key }) => keys.includes(key));
  } catch (error) {
    if (isKeelsonError(error, 'NOT_FOUND')) return [];
    throw error;
  }
}

async function post(
  server: RemoteServer,
  path: string,
  body: string | Uint8Array,
  timeoutMs: number,
  type = 'application/json',
): Promise<string> {
  const headers = { 'content-type': type };
  const sent = body as NonNullable<RequestInit['body']>;
  try {
    const request = { method: 'POST', path, headers, body: () => sent, timeoutMs } as const;
    const response = await callServer(server, request);
    return await response.text();
  } catch (fault) {
    const error = brokenOff(server, fault, undefined);
    // Who asks for a pause gets it before the drain's own.
    const ms = Math.min(longestWaitMs, retryAfter(error) ?? 0);
    if (ms > 0) await wait(ms);
    throw error;
  }
}
