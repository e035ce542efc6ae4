import type { PredictionRow, RefusedRequest } from '../../contracts/prediction-sink.ts';
import type { Scope } from '../../contracts/scope.ts';
import { decodeJson, encodeJson } from '../../json.ts';
import type { StoredBaseline } from '../baselines/stored-baseline.ts';
import {
  innerCounting,
  type MetricItem,
  metricCounting,
  partCounting,
  slotCounting,
} from '../metrics/metric-counts.ts';
import { predictionStream } from '../predictions/prediction-stream.ts';
import { CountedRollups, type Counting, levels, minuteMs } from './counted-rollups.ts';
import { stretches } from './stretches.ts';
import { mergeWindows, WindowCounter, type WindowCounts } from './window-counts.ts';

/** How long it may take until a new baseline is counted with. */
const lookEveryMs = 10_000;

type FindBaseline = (
  deploymentId: string,
  versionId: string,
) => Promise<StoredBaseline | undefined>;

const metricCountings = [metricCounting, innerCounting, partCounting, slotCounting] as const;

/**
 * Counts predictions by the minute of their time: how each deployment answers, and, in the bins of their version's baseline
 * where it has one, what they were about. What shadows answered is left out.
 */
export class CountedWindows {
  readonly #find: FindBaseline;
  readonly #rollups: CountedRollups;
  readonly #known = new Map<
    string,
    { readonly at: number; readonly counting: Counting<PredictionRow, WindowCounts> | undefined }
  >();

  constructor(scope: Pick<Scope, 'series' | 'workspace' | 'logger'>, find: FindBaseline) {
    this.#rollups = new CountedRollups(scope);
    this.#find = find;
  }

  /** Counts rows of one deployment. */
  async count(deploymentId: string, rows: readonly PredictionRow[]): Promise<void> {
    const seen = rows.filter(({ role, at }) => role === 'primary' && Number.isFinite(at));
    for (const [minute, part] of Map.groupBy(seen, minuteOf)) {
      const counters = metricCountings.map((counting) =>
        this.#rollups.counter<MetricItem, unknown>(deploymentId, counting as never, minute),
      );
      for (const row of part) {
        const item = itemOf(row);
        for (const counter of counters) counter.add(item);
      }
    }
    await this.#storeWhereFull();
    for (const [versionId, part] of Map.groupBy(seen, (row) => row.versionId)) {
      const counting = await this.#countingOf(deploymentId, versionId);
      if (counting === undefined) continue;
      for (const [minute, some] of Map.groupBy(part, minuteOf)) {
        const counter = this.#rollups.counter(deploymentId, counting, minute);
        for (const row of some) counter.add(row);
      }
      await this.#storeWhereFull();
    }
  }

  /** Counts a request that was refused before any version was asked. */
  refused({ deploymentId, versionId, at }: RefusedRequest): void {
    const parts = versionId === undefined ? {} : { parts: { version: versionId } };
    for (const counting of metricCountings) {
      const counter = this.#rollups.counter<MetricItem, unknown>(
        deploymentId,
        counting as never,
        minuteOf({ at }),
      );
      counter.add({ at, kind: 'invalid', ...parts });
    }
  }

  /** Looks again at once which baselines a deployment has. */
  forget(deploymentId: string): void {
    for (const key of this.#known.keys()) {
      if (JSON.parse(key)[0] === deploymentId) this.#known.delete(key);
    }
  }

  /** Stores what was counted since the last time; nothing before its time, unless `all`. */
  put(options: { readonly all: boolean }): Promise<void> {
    return this.#rollups.put(options);
  }

  async #storeWhereFull(): Promise<void> {
    if (this.#rollups.isFull) await this.#rollups.put({ all: true });
  }

  async #countingOf(
    deploymentId: string,
    versionId: string,
  ): Promise<Counting<PredictionRow, WindowCounts> | undefined> {
    const key = JSON.stringify([deploymentId, versionId]);
    const known = this.#known.get(key);
    const now = performance.now();
    if (known !== undefined && now - known.at < lookEveryMs) return known.counting;
    const found = await this.#find(deploymentId, versionId);
    const counting = found && countingIn(found);
    if (this.#known.size >= 1000) this.#known.clear();
    this.#known.set(key, { at: now, counting });
    return counting;
  }
}

/** What was counted with a baseline in the minutes that begin in the range; undefined where nothing was. */
export async function readWindows(
  scope: Pick<Scope, 'series' | 'workspace'>,
  { id, deploymentId }: Pick<StoredBaseline, 'id' | 'deploymentId'>,
  range: { readonly from: number; readonly to: number },
): Promise<WindowCounts | undefined> {
  const stream = predictionStream(scope.workspace, deploymentId);
  const found: WindowCounts[] = [];
  for (const stretch of stretches(range, levels)) {
    const rollups = await scope.series.rollups(stream, countsOf(id), stretch);
    found.push(...rollups.map(({ data }) => decodeJson(data) as unknown as WindowCounts));
  }
  // By time, then writer: one fixed order, so that equal counts have equal bits.
  return mergeWindows(found);
}

function countingIn({ id, baseline }: StoredBaseline): Counting<PredictionRow, WindowCounts> {
  return {
    name: countsOf(id),
    begin: () => new WindowCounter(baseline),
    merge: (all) => mergeWindows(all) as WindowCounts,
    encode: encodeJson,
  };
}

function itemOf(row: PredictionRow): MetricItem {
  const { at, error, latencyMs, queueMs, inferenceMs, versionId, segment, experimentArm } = row;
  const { replica } = row;
  return {
    at,
    kind: error === undefined ? 'answered' : 'failed',
    ...{ latencyMs, queueMs, inferenceMs },
    parts: {
      version: versionId,
      ...(segment === undefined ? {} : { segment }),
      ...(experimentArm === undefined ? {} : { arm: experimentArm }),
      ...(replica === undefined ? {} : { replica }),
    },
  };
}

function minuteOf({ at }: { readonly at: number }): number {
  return Math.floor(at / minuteMs) * minuteMs;
}

function countsOf(baselineId: string): string {
  return `counts:${baselineId}`;
}
