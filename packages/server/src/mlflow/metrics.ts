import type { PointColumns, Services } from '@keelson/core';
import { type Call, call } from './call.ts';
import { fromDouble, int64, list, message, needed, set, text } from './encoding.ts';
import { invalid } from './errors.ts';
import { checkMaxResults } from './names.ts';
import { ofRun, runOf } from './runs.ts';

/** One point, as clients have them. */
interface Point {
  readonly step: number;
  readonly timestamp: number;
  readonly value: number;
}

/** The points of a metric by step, then time; those that were sent twice once. */
async function historyOf(
  services: Services,
  runId: string,
  key: string,
  range: { readonly fromStep?: number; readonly toStep?: number } = {},
): Promise<readonly Point[]> {
  return distinct(await services.tracking.getMetricHistory(runId, key, range));
}

function distinct({ steps, timestamps, values }: PointColumns): readonly Point[] {
  const points: Point[] = [];
  const seen = new Set<string>();
  let at: number | undefined;
  for (let i = 0; i < steps.length; i += 1) {
    const [step = 0, timestamp = 0, value = 0] = [steps[i], timestamps[i], values[i]];
    if (step !== at) seen.clear();
    at = step;
    const point = `${timestamp} ${value}`;
    if (seen.has(point)) continue;
    seen.add(point);
    points.push({ step, timestamp, value });
  }
  return points;
}

function toWire(key: string, { step, timestamp, value }: Point, runId?: string): object {
  return set({ key, value: fromDouble(value), timestamp, step, run_id: runId });
}

/** Page tokens are offsets: points are only ever added, and mostly at the end. */
function offsetOf(token: string): number {
  const text = Buffer.from(token, 'base64url').toString();
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw invalid('Invalid page token, could not base64-decode');
}

function ids(runIds: readonly string[]): readonly string[] {
  if (runIds.length === 0) {
    throw invalid('GetMetricHistoryBulk request must specify at least one run_id.');
  }
  if (runIds.length <= mostRuns) return runIds;
  throw invalid(
    `GetMetricHistoryBulk request cannot specify more than ${mostRuns} run_ids. Received ${runIds.length} run_ids.`,
  );
}

const mostRuns = 100;

/** The calls that read metrics. */
export const metricCalls: readonly Call[] = [
  call(
    'GET',
    'metrics/get-history',
    ofRun(
      message({
        ...{ run_id: text, run_uuid: text, metric_key: needed(text) },
        ...{ page_token: text, max_results: int64 },
      }),
    ),
    async (asked, { services }) => {
      const { run_id: id, metric_key: key, page_token: token = '', max_results: most } = asked;
      if (most !== undefined) checkMaxResults(most, 1, 1_000_000);
      const all = await historyOf(services, id, key);
      const start = token === '' ? 0 : offsetOf(token);
      const end = most === undefined ? all.length : start + most;
      const more = end < all.length;
      return set({
        metrics: all.slice(start, end).map((point) => toWire(key, point)),
        next_page_token: more ? Buffer.from(String(end)).toString('base64url') : undefined,
      });
    },
  ),
  call(
    'GET',
    'metrics/get-history-bulk',
    message({ run_id: list(text), metric_key: needed(text), max_results: int64 }),
    async ({ run_id: runIds = [], metric_key: key, max_results: asked }, { services }) => {
      const most = Math.min(checkMaxResults(asked, 25_000, 1_000_000), 25_000);
      const metrics: object[] = [];
      for (const id of [...ids(runIds)].sort()) {
        if (metrics.length >= most) break;
        const points = await historyOf(services, id, key);
        metrics.push(
          ...points.slice(0, most - metrics.length).map((point) => toWire(key, point, id)),
        );
      }
      return { metrics };
    },
  ),
  call(
    'GET',
    'metrics/get-history-bulk-interval',
    message({
      ...{ run_ids: list(text), metric_key: needed(text) },
      ...{ start_step: int64, end_step: int64, max_results: int64 },
    }),
    async (asked, { services }) => {
      const { run_ids: runIds = [], metric_key: key, start_step: from, end_step: to } = asked;
      const most = checkMaxResults(asked.max_results, 2_500, 2_500);
      if ((from === undefined) !== (to === undefined)) {
        throw invalid('If either start step or end step are specified, both must be specified.');
      }
      if (from !== undefined && to !== undefined && from > to) {
        throw invalid(
          `end_step must be greater than start_step. Found start_step=${from} and end_step=${to}.`,
        );
      }
      const range = set({ fromStep: from, toStep: to });
      const all: [string, readonly Point[]][] = [];
      for (const id of ids(runIds)) {
        await runOf(services, id);
        all.push([id, await historyOf(services, id, key, range)]);
      }
      const steps = sampledSteps(
        all.map(([, points]) => points),
        most,
      );
      const metrics = all.flatMap(([id, points]) =>
        points.filter(({ step }) => steps.has(step)).map((point) => toWire(key, point, id)),
      );
      return set({ metrics });
    },
  ),
];

/** So many steps at most, spread evenly over those that there are, with the extremes of each run. */
function sampledSteps(runs: readonly (readonly Point[])[], most: number): ReadonlySet<number> {
  const all = [...new Set(runs.flatMap((points) => points.map(({ step }) => step)))].sort(
    (a, b) => a - b,
  );
  if (all.length <= most) return new Set(all);
  const sampled = new Set<number>();
  for (let i = 0; i < most; i += 1) {
    sampled.add(all[Math.floor((i * (all.length - 1)) / Math.max(1, most - 1))] ?? 0);
  }
  for (const points of runs) {
    for (const end of [points[0], points.at(-1)]) if (end !== undefined) sampled.add(end.step);
  }
  return sampled;
}
