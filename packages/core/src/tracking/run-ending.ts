import type { Change } from '../contracts/metadata-store.ts';
import type { MetricWriter } from '../contracts/metric-writer.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import type { SeriesSummary } from '../contracts/series-store.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import type { RunCompleted } from '../events/catalogue/tracking-events.ts';
import { type JsonObject, storableText } from '../json.ts';
import { commitChanges, decideAndCommit } from '../operations/decide-and-commit.ts';
import type { ArtifactLog } from './artifacts.ts';
import { emitOfRun } from './emit-of-run.ts';
import { assertMove, isPresumedDead, optional, type RunStatus } from './run.ts';
import { lostOfRun, withLost } from './run-health.ts';
import { type RunRecords, replaceRun } from './run-records.ts';

/** How runs end: by their process, or because it died. */
export interface RunEnding {
  /** Makes the run's points durable and ends it. Again with the same status does nothing. */
  finish(
    runId: string,
    status: RunStatus,
    reason: string | undefined,
    endedAt?: number,
  ): Promise<void>;
  /** The same for a commit of somebody else's: makes the points durable, and answers the rest of it. */
  prepare(
    runId: string,
    status: RunStatus,
    reason: string | undefined,
    endedAt?: number,
  ): Promise<PreparedEnd>;
  /** Marks runs whose process died as FAILED, at most `limit`; answers how many. */
  reap(limit: number): Promise<number>;
  /** Writes down, on their runs, the points that this process has lost. */
  noteLost(): Promise<void>;
}

/** The end of a run, about to be committed. */
export interface PreparedEnd {
  /** None where it has ended so already; `known` where its record need not be read. */
  changes(known?: StoredRecord): Promise<readonly Change[]>;
  /** Once they are committed. */
  done(): void;
}

/** What ending a run needs beside the scope. */
export interface RunEndingParts {
  readonly records: RunRecords;
  readonly artifacts: Pick<ArtifactLog, 'listed'>;
  readonly writer: () => MetricWriter;
  warn(message: string, fields: object): void;
}

const flushMs = 10_000;
const maxReason = 2000;
/** Of the payload's 1 MB, for the metrics and for the paths. */
const maxListBytes = 400_000;
const ends = ['COMPLETED', 'FAILED', 'KILLED'] as const;

function hasEnded(status: RunStatus): status is (typeof ends)[number] {
  return ends.some((end) => end === status);
}

/** How runs of a scope end. */
export function createRunEnding(scope: Scope, parts: RunEndingParts): RunEnding {
  const { metadata, workspace } = scope;
  const { records } = parts;

  async function finish(
    runId: string,
    status: RunStatus,
    reason: string | undefined,
    endedAt?: number,
  ): Promise<void> {
    const end = await prepare(runId, status, reason, endedAt);
    await decideAndCommit(scope, async () => ({
      changes: await end.changes(),
      result: undefined,
    }));
    end.done();
  }

  async function prepare(
    runId: string,
    status: RunStatus,
    reason: string | undefined,
    endedAt?: number,
  ): Promise<PreparedEnd> {
    if (!hasEnded(status)) {
      throw new KeelsonError(
        'INVALID',
        `A run ends as ${ends.join(', ')}, not as ${typeof status === 'string' ? JSON.stringify(String(status).slice(0, 50)) : typeof status}.`,
      );
    }
    if (reason !== undefined && typeof reason !== 'string') {
      throw new KeelsonError('INVALID', `The reason of an end must be text, not ${typeof reason}.`);
    }
    const lost = await settlePoints(runId);
    const facts = optional(
      'statusReason',
      reason === undefined ? undefined : storableText(reason, maxReason),
    );
    return {
      async changes(known) {
        const found = known ?? (await records.get(runId));
        const record = isPresumedDead(found) ? await records.loggable(runId) : found;
        const from = record.columns['status'] as RunStatus;
        if (from === status) return [];
        assertMove(runId, from, status);
        const told = { ...facts, ...withLost(record.body, lost) };
        return ending(record, status, endedAt ?? scope.clock.now(), told);
      },
      done: () => parts.writer().closeRun(workspace, runId),
    };
  }

  async function noteLost(): Promise<void> {
    const { dropped } = parts.writer().health();
    const here = dropped.filter(({ series }) => series.workspace === workspace);
    for (const runId of new Set(here.map(({ series }) => series.owner))) {
      const lost = lostOfRun(here, workspace, runId);
      await decideAndCommit(scope, async () => {
        const record = await records.find(runId);
        const facts = record === undefined ? {} : withLost(record.body, lost);
        if (record === undefined || Object.keys(facts).length === 0) {
          return { changes: [], result: undefined };
        }
        const change = replaceRun(record, {}, { ...record.body, ...facts });
        return { changes: [change], result: undefined, reason: 'metric points were lost' };
      });
    }
  }

  /** Makes the run's points durable; a store that is away does not keep a run from ending. */
  async function settlePoints(runId: string): Promise<Readonly<Record<string, number>>> {
    const writer = parts.writer();
    try {
      await writer.flush({ timeoutMs: flushMs });
    } catch (error) {
      if (isKeelsonError(error, 'CLOSED')) throw error;
      const why = error instanceof Error ? error.message : String(error);
      parts.warn(`Metric points of run ${runId} are not durable yet: ${why}`, { runId });
    }
    return lostOfRun(writer.health().dropped, workspace, runId);
  }

  async function ending(
    record: StoredRecord,
    status: RunCompleted['status'],
    endedAt: number,
    facts: JsonObject,
  ): Promise<Change[]> {
    const [summaries, page] = await Promise.all([
      scope.series.summaries(workspace, record.id),
      parts.artifacts.listed(record.id, { limit: 1000 }),
    ]);
    const startedAt = record.columns['startedAt'] as number;
    const columns = { status, endedAt, durationMs: Math.max(0, endedAt - startedAt) };
    const paths = page.artifacts.map((file) => file.path);
    const payload = {
      experimentId: record.columns['experimentId'] as string,
      status,
      ...completedPayload(summaries, paths, page.cursor !== undefined),
    };
    return [
      replaceRun(record, columns, { ...record.body, ...facts }),
      emitOfRun(scope, record.id, 'run.completed', payload),
    ];
  }

  async function reap(limit: number): Promise<number> {
    let reaped = 0;
    for await (const running of runningRuns()) {
      for (const [id, death] of await records.deaths(running)) {
        if (reaped >= limit) return reaped;
        const record = running.find((each) => each.id === id) as StoredRecord;
        const facts = { statusReason: death.reason, presumedDead: true };
        const changes = await ending(record, 'FAILED', death.endedAt, facts);
        try {
          await commitChanges(scope, changes, death.reason);
          reaped += 1;
        } catch (error) {
          // It came back to life or somebody else ended it: either way it is not ours to end.
          if (!isKeelsonError(error, 'STALE')) throw error;
        }
      }
    }
    return reaped;
  }

  /** All of them, also behind many that live: the oldest come first. */
  async function* runningRuns(): AsyncIterable<readonly StoredRecord[]> {
    let cursor: string | undefined;
    do {
      const page = await metadata.query(workspace, 'run', {
        where: {
          op: 'compare',
          left: { from: 'column', name: 'status' },
          cmp: '=',
          value: 'RUNNING',
        },
        orderBy: [{ by: { from: 'column', name: 'startedAt' }, direction: 'asc' }],
        limit: 500,
        ...(cursor === undefined ? {} : { cursor }),
      });
      if (page.records.length > 0) yield page.records;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  return { finish, prepare, reap, noteLost };
}

/** Final metrics and artifact paths, as many as an event may carry; `truncated` where there are more. */
function completedPayload(
  summaries: readonly SeriesSummary[],
  paths: readonly string[],
  morePaths: boolean,
): Pick<RunCompleted, 'finalMetrics' | 'artifactPaths' | 'truncated'> {
  const metrics = within(summaries.map((each): [string, number] => [each.key, each.last]));
  const artifactPaths = within(paths);
  const truncated =
    morePaths || metrics.length < summaries.length || artifactPaths.length < paths.length;
  return {
    finalMetrics: Object.fromEntries(metrics),
    artifactPaths,
    ...(truncated ? { truncated } : {}),
  };
}

function within<T>(items: readonly T[]): readonly T[] {
  let bytes = 0;
  const end = items.findIndex((item) => {
    // A little more for what −0 and the non-finite numbers are written as.
    bytes += Buffer.byteLength(JSON.stringify(item)) + 32;
    return bytes > maxListBytes;
  });
  return end === -1 ? items : items.slice(0, end);
}
