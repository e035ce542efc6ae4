import type { PredictionRow, RefusedRequest } from '../../contracts/prediction-sink.ts';
import type { Scope } from '../../contracts/scope.ts';
import { decodeJson, encodeJson, type Json } from '../../json.ts';
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
import {
  mergeSizes,
  SegmentChoice,
  type SegmentSizes,
  segmentCounting,
  segmentOf,
  segmentsOf,
} from './segments.ts';
import { stretches } from './stretches.ts';
import { mergeWindows, WindowCounter, type WindowCounts } from './window-counts.ts';

/** How long it may take until a new baseline is counted with. */
const lookEveryMs = 10_000;

type FindBaseline = (
  deploymentId: string,
  versionId: string,
) => Promise<StoredBaseline | undefined>;

interface Known<T> {
  readonly at: number;
  readonly value: T;
}

const metricCountings = [metricCounting, innerCounting, partCounting, slotCounting] as const;

/**
 * Counts predictions by the minute of their time: how each deployment answers, and, in the bins of their version's baseline
 * where it has one, what they were about. What shadows answered is left out.
 */
export class CountedWindows {
  readonly #find: FindBaseline;
  readonly #clock: Scope['clock'];
  readonly #rollups: CountedRollups;
  readonly #segmentBy: (deploymentId: string) => Promise<string | undefined>;
  readonly #known = new Map<string, Known<StoredBaseline | undefined>>();
  readonly #settings = new Map<string, Known<string | undefined>>();
  readonly #choices = new Map<string, SegmentChoice>();

  /** `segmentBy` answers the feature whose values are segments; the row's own are where it answers none. */
  constructor(
    scope: Pick<Scope, 'series' | 'workspace' | 'logger' | 'clock'>,
    find: FindBaseline,
    segmentBy: (deploymentId: string) => Promise<string | undefined> = async () => undefined,
  ) {
    this.#clock = scope.clock;
    this.#rollups = new CountedRollups(scope);
    this.#find = find;
    this.#segmentBy = segmentBy;
  }

  /** Counts rows of one deployment. */
  async count(deploymentId: string, rows: readonly PredictionRow[]): Promise<void> {
    const by = await known(this.#settings, deploymentId, () => this.#segmentBy(deploymentId));
    const choice = this.#choiceOf(deploymentId);
    const now = this.#clock.now();
    const all: Row[] = [];
    for (const row of rows) {
      if (row.role !== 'primary' || !Number.isFinite(row.at)) continue;
      const segment = segmentOf(row, by);
      all.push({
        row,
        segment: segment === undefined ? undefined : choice.choose(segment, row.at, now),
      });
    }
    this.#countMetrics(deploymentId, all);
    await this.#storeWhereFull();
    for (const [versionId, part] of Map.groupBy(all, ({ row }) => row.versionId)) {
      const key = JSON.stringify([deploymentId, versionId]);
      const baseline = await known(this.#known, key, () => this.#find(deploymentId, versionId));
      if (baseline === undefined) continue;
      this.#countWith(baseline, deploymentId, part);
      await this.#storeWhereFull();
    }
  }

  #countMetrics(deploymentId: string, rows: readonly Row[]): void {
    let minute = Number.NaN;
    let counters: readonly { add(item: MetricItem): void }[] = [];
    for (const each of rows) {
      // Rows mostly are of the same minute as the one before.
      if (minuteOf(each) !== minute) {
        minute = minuteOf(each);
        counters = this.#metricCounters(deploymentId, minute);
      }
      const item = itemOf(each);
      for (const counter of counters) counter.add(item);
    }
  }

  /** Good until the next await. */
  #metricCounters(deploymentId: string, at: number): readonly { add(item: MetricItem): void }[] {
    return metricCountings.map((counting) =>
      this.#rollups.counter<MetricItem, unknown>(deploymentId, counting as never, at),
    );
  }

  #countWith(baseline: StoredBaseline, deploymentId: string, rows: readonly Row[]): void {
    for (const [minute, some] of Map.groupBy(rows, minuteOf)) {
      const counter = this.#rollups.counter(deploymentId, countingIn(baseline), minute);
      for (const { row } of some) counter.add(row);
      for (const [segment, part] of Map.groupBy(some, (each) => each.segment)) {
        if (segment === undefined) continue;
        const sizes = this.#rollups.counter(deploymentId, segmentCounting(baseline.id), minute);
        const own = countingIn(baseline, segment);
        const ofSegment = this.#rollups.counter(deploymentId, own, minute);
        for (const { row } of part) {
          sizes.add(segment);
          ofSegment.add(row);
        }
      }
    }
  }

  #choiceOf(deploymentId: string): SegmentChoice {
    const choice = this.#choices.get(deploymentId) ?? new SegmentChoice();
    if (!this.#choices.has(deploymentId) && this.#choices.size >= 1000) this.#choices.clear();
    this.#choices.set(deploymentId, choice);
    return choice;
  }

  /** Counts a request that was refused before any version was asked. */
  refused({ deploymentId, versionId, at }: RefusedRequest): void {
    for (const counter of this.#metricCounters(deploymentId, at)) {
      counter.add({ at, kind: 'invalid', version: versionId });
    }
  }

  /** Looks again at once which baselines and segments a deployment has. */
  forget(deploymentId: string): void {
    this.#settings.delete(deploymentId);
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
}

/** What was asked for a short while ago is not asked again. */
async function known<T>(
  all: Map<string, Known<T>>,
  key: string,
  find: () => Promise<T>,
): Promise<T> {
  const found = all.get(key);
  const now = performance.now();
  if (found !== undefined && now - found.at < lookEveryMs) return found.value;
  const value = await find();
  if (all.size >= 1000) all.clear();
  all.set(key, { at: now, value });
  return value;
}

/**
 * What was counted with a baseline in the minutes that begin in the range, of all or of one segment; undefined where nothing
 * was.
 */
export async function readWindows(
  scope: Pick<Scope, 'series' | 'workspace'>,
  { id, deploymentId }: Pick<StoredBaseline, 'id' | 'deploymentId'>,
  range: { readonly from: number; readonly to: number },
  segment?: string,
): Promise<WindowCounts | undefined> {
  const found = await readCounts(scope, deploymentId, countsOf(id, segment), range);
  // By time, then writer: one fixed order, so that equal counts have equal bits.
  return mergeWindows(found as unknown as readonly WindowCounts[]);
}

/** What was counted with a baseline in each hour of a range that had predictions, by time. */
export async function readHours(
  scope: Pick<Scope, 'series' | 'workspace'>,
  { id, deploymentId }: Pick<StoredBaseline, 'id' | 'deploymentId'>,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<ReadonlyMap<number, WindowCounts>> {
  const [, hourMs = 3_600_000] = levels;
  const stream = predictionStream(scope.workspace, deploymentId);
  const range = { windowMs: hourMs, from, to };
  const rollups = await scope.series.rollups(stream, countsOf(id), range);
  const hours = [...Map.groupBy(rollups, ({ at }) => at)].map(([at, each]) => {
    const counts = each.map(({ data }) => decodeJson(data) as unknown as WindowCounts);
    return [at, mergeWindows(counts) as WindowCounts] as const;
  });
  return new Map(hours);
}

/** How many predictions of each segment were counted with a baseline. */
export async function readSegments(
  scope: Pick<Scope, 'series' | 'workspace'>,
  { id, deploymentId }: Pick<StoredBaseline, 'id' | 'deploymentId'>,
  range: { readonly from: number; readonly to: number },
): Promise<SegmentSizes> {
  const found = await readCounts(scope, deploymentId, segmentsOf(id), range);
  return mergeSizes(found as readonly SegmentSizes[]);
}

async function readCounts(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  name: string,
  range: { readonly from: number; readonly to: number },
): Promise<readonly Json[]> {
  const stream = predictionStream(scope.workspace, deploymentId);
  const found: Json[] = [];
  for (const stretch of stretches(range, levels)) {
    const rollups = await scope.series.rollups(stream, name, stretch);
    found.push(...rollups.map(({ data }) => decodeJson(data)));
  }
  return found;
}

interface Row {
  readonly row: PredictionRow;
  readonly segment: string | undefined;
}

function countingIn(
  { id, baseline }: StoredBaseline,
  segment?: string,
): Counting<PredictionRow, WindowCounts> {
  return {
    name: countsOf(id, segment),
    begin: () => new WindowCounter(baseline),
    merge: (all) => mergeWindows(all) as WindowCounts,
    encode: encodeJson,
  };
}

function itemOf({ row, segment }: Row): MetricItem {
  const { at, error, latencyMs, queueMs, inferenceMs, versionId, experimentArm, replica } = row;
  return {
    at,
    kind: error === undefined ? 'answered' : 'failed',
    latencyMs,
    queueMs,
    inferenceMs,
    version: versionId,
    segment,
    arm: experimentArm,
    replica,
  };
}

function minuteOf({ row }: Row): number {
  return Math.floor(row.at / minuteMs) * minuteMs;
}

function countsOf(baselineId: string, segment?: string): string {
  return segment === undefined ? `counts:${baselineId}` : `counts:${baselineId}#${segment}`;
}
