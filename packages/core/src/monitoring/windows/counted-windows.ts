import type { PredictionRow } from '../../contracts/prediction-sink.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { Rollup } from '../../contracts/series-store.ts';
import { decodeJson, encodeJson } from '../../json.ts';
import { uuidV7 } from '../../uuid.ts';
import type { StoredBaseline } from '../baselines/stored-baseline.ts';
import { predictionStream } from '../predictions/prediction-stream.ts';
import { mergeWindows, WindowCounter, type WindowCounts } from './window-counts.ts';

/** Predictions are counted by the minute. */
const windowMs = 60_000;

/** What is counted is stored at the latest so long after, by a process that goes on. */
const putEveryMs = 5000;
/** How long it may take until a new baseline is counted with. */
const lookEveryMs = 10_000;
/** Windows that are open at once: rows may come late. */
const maxOpen = 256;

interface OpenWindow {
  readonly deploymentId: string;
  readonly name: string;
  readonly at: number;
  /** Of this window alone: one that was closed and is opened again must not replace what it was. */
  readonly writer: string;
  readonly counter: WindowCounter;
  dirty: boolean;
}

type FindBaseline = (
  deploymentId: string,
  versionId: string,
) => Promise<StoredBaseline | undefined>;

/**
 * Counts stored predictions in the bins of their version's baseline, by the minute of their time, and keeps the counts as
 * rollups: each writer its own, readers add them up. What shadows answered is left out. Memory is bounded.
 */
export class CountedWindows {
  readonly #scope: Pick<Scope, 'series' | 'workspace'>;
  readonly #find: FindBaseline;
  readonly #writer = uuidV7();
  readonly #known = new Map<
    string,
    { readonly at: number; readonly baseline: StoredBaseline | undefined }
  >();
  readonly #open = new Map<string, OpenWindow>();
  #opened = 0;
  #putAt = performance.now();

  constructor(scope: Pick<Scope, 'series' | 'workspace'>, find: FindBaseline) {
    this.#scope = scope;
    this.#find = find;
  }

  /** Counts rows of one deployment. */
  async count(deploymentId: string, rows: readonly PredictionRow[]): Promise<void> {
    for (const [versionId, part] of Map.groupBy(rows, (row) => row.versionId)) {
      const known = await this.#baselineOf(deploymentId, versionId);
      if (known === undefined) continue;
      for (const row of part) {
        if (row.role !== 'primary' || !Number.isFinite(row.at)) continue;
        const window = this.#windowOf(known, Math.floor(row.at / windowMs) * windowMs);
        window.counter.add(row);
        window.dirty = true;
      }
      if (this.#open.size > maxOpen) await this.put({ all: true });
    }
  }

  /** Stores what was counted since the last time; nothing before its time, unless `all`. */
  async put(options: { readonly all: boolean }): Promise<void> {
    const now = performance.now();
    if (!options.all && now - this.#putAt < putEveryMs) return;
    this.#putAt = now;
    const dirty = [...this.#open.values()].filter((window) => window.dirty);
    if (dirty.length > 0) {
      // What is counted while it is stored is stored the next time.
      for (const window of dirty) window.dirty = false;
      try {
        await this.#scope.series.putRollups(dirty.map((window) => this.#rollupOf(window)));
      } catch (error) {
        for (const window of dirty) window.dirty = true;
        throw error;
      }
    }
    this.#closeOld();
  }

  /** Windows get no more rows once later ones are there, but for those that come late. */
  #closeOld(): void {
    const newest = Math.max(...[...this.#open.values()].map(({ at }) => at));
    for (const [key, window] of this.#open) {
      const isOld = window.at < newest - 2 * windowMs || this.#open.size > maxOpen;
      if (isOld && !window.dirty) this.#open.delete(key);
    }
  }

  async #baselineOf(deploymentId: string, versionId: string): Promise<StoredBaseline | undefined> {
    const key = JSON.stringify([deploymentId, versionId]);
    const known = this.#known.get(key);
    const now = performance.now();
    if (known !== undefined && now - known.at < lookEveryMs) return known.baseline;
    const baseline = await this.#find(deploymentId, versionId);
    if (this.#known.size >= 1000) this.#known.clear();
    this.#known.set(key, { at: now, baseline });
    return baseline;
  }

  #windowOf({ id, deploymentId, baseline }: StoredBaseline, at: number): OpenWindow {
    const key = `${id}:${at}`;
    const known = this.#open.get(key);
    if (known !== undefined) return known;
    this.#opened += 1;
    const opened: OpenWindow = {
      deploymentId,
      name: countsOf(id),
      at,
      writer: `${this.#writer}.${this.#opened}`,
      counter: new WindowCounter(baseline),
      dirty: false,
    };
    this.#open.set(key, opened);
    return opened;
  }

  #rollupOf({ deploymentId, name, at, writer, counter }: OpenWindow): Rollup {
    const stream = predictionStream(this.#scope.workspace, deploymentId);
    return { stream, name, windowMs, at, writer, data: encodeJson(counter.counts()) };
  }
}

/** What was counted with a baseline in the minutes that begin in the range; undefined where nothing was. */
export async function readWindows(
  scope: Pick<Scope, 'series' | 'workspace'>,
  { id, deploymentId }: Pick<StoredBaseline, 'id' | 'deploymentId'>,
  range: { readonly from: number; readonly to: number },
): Promise<WindowCounts | undefined> {
  const stream = predictionStream(scope.workspace, deploymentId);
  const rollups = await scope.series.rollups(stream, countsOf(id), { windowMs, ...range });
  // By time, then writer: one fixed order, so that equal counts have equal bits.
  return mergeWindows(rollups.map(({ data }) => decodeJson(data) as unknown as WindowCounts));
}

function countsOf(baselineId: string): string {
  return `counts:${baselineId}`;
}
