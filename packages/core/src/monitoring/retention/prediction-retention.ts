import type { Change } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { StreamKey } from '../../contracts/series-store.ts';
import { isKeelsonError } from '../../errors.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import type { EndpointMetrics } from '../metrics/metrics.ts';
import {
  type PredictionSettingsKeeper,
  retentionDays,
} from '../predictions/prediction-settings.ts';
import { predictionStream } from '../predictions/prediction-stream.ts';
import { dropAnalyses } from './analysis-retention.ts';
import { dailyFigures } from './daily-figures.ts';
import { keepSample } from './day-sample.ts';
import { sampleStream } from './sample-stream.ts';
import { encodeSummary } from './summary-file.ts';

const kind = 'prediction_retention';
export const archiveKind = 'prediction_archive';
const [minuteMs, hourMs, dayMs] = [60_000, 3_600_000, 86_400_000];
/** What goes when rows go. */
const hotStreams: ReadonlySet<string> = new Set(['predictions', 'labels', 'counted']);

/** Names after which a test may end the work. */
export type RetentionStep =
  | 'sample stored'
  | 'sample noted'
  | 'rows dropped'
  | 'file stored'
  | 'archive committed'
  | 'days dropped'
  | 'file let go'
  | 'analyses dropped';

/** What {@link PredictionRetention} works with. */
export interface PredictionRetentionParts {
  readonly settings: Pick<PredictionSettingsKeeper, 'get'>;
  readonly metrics: Pick<EndpointMetrics, 'metrics'>;
  readonly reached?: (step: RetentionStep) => Promise<void> | void;
}

/** What went. */
export interface RetentionReport {
  readonly rows: number;
  readonly rollups: number;
  readonly archives: readonly string[];
  readonly letGo: readonly string[];
  readonly analyses: number;
}

interface Places {
  readonly revision: number;
  /** The first day that there was anything of. */
  readonly since: number;
  /** Samples are kept of all days before. */
  readonly sampledTo: number;
  /** Files are kept of all months before. */
  readonly archivedTo: number;
}

/**
 * Lets predictions age: rows become samples and counts by the hour and day, these become a columnar file a month, and of that the
 * record stays. Analyses go with the counts by the hour and day, those that have found something with the files. Each step is stored before what it is made of goes, and noted with the place from which the next
 * goes on: killed anywhere, the next run goes on; two at once do the same.
 */
export class PredictionRetention {
  readonly #scope: Scope;
  readonly #parts: PredictionRetentionParts;

  constructor(scope: Scope, parts: PredictionRetentionParts) {
    this.#scope = scope;
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<RetentionReport> {
    const { series, workspace, clock } = this.#scope;
    const today = Math.floor(clock.now() / dayMs) * dayMs;
    const streams = await series.streams(workspace);
    const byOwner = Map.groupBy(streams, ({ owner }) => owner);
    let [rows, rollups, analyses] = [0, 0, 0];
    const archives: string[] = [];
    const letGo: string[] = [];
    const due = new Map<number, StreamKey[]>();
    let fault: unknown;
    for (const [owner, own] of byOwner) {
      signal.throwIfAborted();
      if (!own.some(({ stream }) => stream === 'predictions')) continue;
      const { hotDays, warmDays, coldDays } = retentionDays(
        (await this.#parts.settings.get(owner)).retention,
      );
      const [hot, warm, cold] = [hotDays, warmDays, coldDays].map(
        (days) => today - days * dayMs,
      ) as [number, number, number];
      try {
        await this.#sample(owner, hot, signal);
        const going = due.get(hot) ?? [];
        going.push(...own.filter(({ stream }) => hotStreams.has(stream)));
        due.set(hot, going);
        archives.push(...(await this.#archive(owner, warm, signal)));
        rollups += await this.#dropDays(owner, hot);
        letGo.push(...(await this.#letGo(owner, cold)));
        analyses += await dropAnalyses(this.#scope, owner, { calm: warm, all: cold }, signal);
        await this.#reached('analyses dropped');
      } catch (error) {
        // What one deployment's data is like keeps no other's from ageing; its own rows stay.
        if (signal.aborted) throw error;
        fault ??= error;
      }
    }
    // Those of one age at once: where a store keeps a day together, the day goes as a whole.
    for (const [before, going] of due) {
      rows += await series.dropRows(going, before);
      await this.#reached('rows dropped');
    }
    if (fault !== undefined) throw fault;
    return { rows, rollups, archives, letGo, analyses };
  }

  /** Keeps a sample of each day that is over and may go. */
  async #sample(owner: string, hot: number, signal: AbortSignal): Promise<void> {
    const { series, workspace } = this.#scope;
    const stream = predictionStream(workspace, owner);
    const places = await this.#places(owner);
    const days = new Set<number>();
    const range = { from: places?.sampledTo ?? -8.64e15, to: hot };
    for await (const { at } of series.rows(stream, { ...range, columns: [] })) {
      for (const time of at) days.add(Math.floor(time / dayMs) * dayMs);
    }
    for (const day of [...days].sort((a, b) => a - b)) {
      signal.throwIfAborted();
      await keepSample(this.#scope, stream, { from: day, to: day + dayMs });
      await this.#reached('sample stored');
      await this.#note(owner, { since: day, sampledTo: day + dayMs });
      await this.#reached('sample noted');
    }
  }

  /** Puts months that are over into files. */
  async #archive(owner: string, warm: number, signal: AbortSignal): Promise<readonly string[]> {
    const made: string[] = [];
    for (;;) {
      signal.throwIfAborted();
      const places = await this.#places(owner);
      if (places === undefined) return made;
      const from = Math.max(places.archivedTo, monthOf(places.since));
      const to = nextMonth(from);
      if (to > warm) return made;
      const figures = await dailyFigures(this.#scope, this.#parts.metrics, owner, { from, to });
      const changes: Change[] = [place(owner, places, { archivedTo: to })];
      const id = `${owner}:${new Date(from).toISOString().slice(0, 7)}`;
      if (figures.length > 0) {
        const content = await this.#scope.artifacts.put(encodeSummary(figures));
        await this.#reached('file stored');
        changes.push({
          ...{ op: 'create', kind: archiveKind, id },
          columns: {
            ...{ deploymentId: owner, from, to, figures: figures.length, state: 'COLD' },
            ...{ sha256: content.sha256, sizeBytes: content.sizeBytes },
          },
        });
      }
      try {
        await commitChanges(this.#scope, changes);
        if (figures.length > 0) made.push(id);
      } catch (error) {
        // Somebody else was faster: from where he has come to.
        if (!isKeelsonError(error, 'STALE', 'CONFLICT')) throw error;
      }
      await this.#reached('archive committed');
    }
  }

  /** Minutes go with the rows; hours, days and samples once there is a file of their month. */
  async #dropDays(owner: string, hot: number): Promise<number> {
    const { series, workspace } = this.#scope;
    const stream = predictionStream(workspace, owner);
    let dropped = await series.dropRollups(stream, { windowMs: minuteMs, before: hot });
    const places = await this.#places(owner);
    if (places === undefined) return dropped;
    const before = places.archivedTo;
    for (const windowMs of [hourMs, dayMs]) {
      dropped += await series.dropRollups(stream, { windowMs, before });
    }
    await series.dropRows(sampleStream(workspace, owner), before);
    await this.#reached('days dropped');
    return dropped;
  }

  /** Lets go of files whose time is over: the record stays, and the next collection of garbage frees the content. */
  async #letGo(owner: string, cold: number): Promise<readonly string[]> {
    const gone: string[] = [];
    const where = columnIs('deploymentId', owner);
    for await (const { id, columns, revision } of everyRecord(this.#scope, archiveKind, {
      where,
    })) {
      if (columns['state'] !== 'COLD' || (columns['to'] as number) > cold) continue;
      try {
        await commitChanges(this.#scope, [
          {
            ...{ op: 'replace', kind: archiveKind, id, expect: revision },
            columns: { state: 'METADATA', sha256: undefined },
          },
        ]);
        gone.push(id);
      } catch (error) {
        if (!isKeelsonError(error, 'STALE')) throw error;
      }
      await this.#reached('file let go');
    }
    return gone;
  }

  async #places(owner: string): Promise<Places | undefined> {
    const record = await this.#scope.metadata.find(this.#scope.workspace, kind, owner);
    return record && placesOf(record);
  }

  async #note(
    owner: string,
    { since, sampledTo }: { since: number; sampledTo: number },
  ): Promise<void> {
    const places = await this.#places(owner);
    if (places !== undefined && places.sampledTo >= sampledTo) return;
    const change: Change =
      places === undefined
        ? {
            ...{ op: 'create', kind, id: owner },
            columns: { since, sampledTo, archivedTo: monthOf(since) },
          }
        : place(owner, places, { sampledTo });
    try {
      await commitChanges(this.#scope, [change]);
    } catch (error) {
      if (!isKeelsonError(error, 'STALE', 'CONFLICT')) throw error;
    }
  }

  async #reached(step: RetentionStep): Promise<void> {
    await this.#parts.reached?.(step);
  }
}

function placesOf({ columns, revision }: StoredRecord): Places {
  const at = (name: string): number => columns[name] as number;
  return {
    revision,
    ...{ since: at('since'), sampledTo: at('sampledTo'), archivedTo: at('archivedTo') },
  };
}

function place(
  owner: string,
  { revision }: Places,
  columns: { readonly sampledTo?: number; readonly archivedTo?: number },
): Change {
  return { op: 'replace', kind, id: owner, expect: revision, columns };
}

function monthOf(at: number): number {
  const date = new Date(at);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
}

function nextMonth(at: number): number {
  const date = new Date(at);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
}
