import type { Change } from '../contracts/metadata-store.ts';
import type { Heartbeats } from '../contracts/metric-writer.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, type JsonObject } from '../json.ts';
import { type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { describeOwner, ownerState } from '../process-owner.ts';
import {
  assertLoggable,
  type Death,
  deathOf,
  isPresumedDead,
  type Run,
  runFromRecord,
} from './run.ts';

/** The records of runs, and what they say together with heartbeats and metrics. */
export interface RunRecords {
  find(id: string): Promise<StoredRecord | undefined>;
  /** NOT_FOUND, naming the run. */
  get(id: string): Promise<StoredRecord>;
  /** Runs as they are read: with metrics, and FAILED where the process is dead. */
  read(records: readonly StoredRecord[]): Promise<readonly Run[]>;
  /** Which of the runs read RUNNING and are dead. */
  deaths(records: readonly StoredRecord[]): Promise<ReadonlyMap<string, Death>>;
  /**
   * A run that takes params and artifacts. CONFLICT for one that has ended, unless late logging is
   * allowed. One that others took for dead is reopened: whoever asks has a handle of it, and lives.
   */
  loggable(id: string): Promise<StoredRecord>;
  /**
   * What holds a commit of `what` to a run that is {@link loggable}: STALE when the run changes in
   * between. Of a run that has ended it makes an entry in the run's history.
   */
  guard(record: StoredRecord, what: string): { readonly change: Change; readonly reason?: string };
  /** Commits changes that are right only while the run takes them. None commits nothing. */
  whileLoggable(
    id: string,
    what: string,
    decide: (record: StoredRecord) => readonly Change[] | Promise<readonly Change[]>,
  ): Promise<void>;
  /** Writes into the history of a run that has ended that `what` is logged to it. */
  noteLate(id: string, what: string): Promise<void>;
  readonly lateLogging: boolean;
  /** What the body of a run says of the process that runs it. */
  owned(body: JsonObject): JsonObject;
}

const facets = ['params', 'tags'] as const;

/** The records of runs of a scope. */
export function createRunRecords(
  scope: Scope,
  parts: {
    readonly heartbeats: Heartbeats;
    readonly heartbeatTimeoutMs: number;
    readonly lateLogging: boolean;
    /** Runs that are opened here belong to processes that this one cannot see: only their silence tells. */
    readonly elsewhere?: boolean;
  },
): RunRecords {
  const { metadata, workspace } = scope;
  const { lateLogging } = parts;

  async function find(id: string): Promise<StoredRecord | undefined> {
    const record = await metadata.find(workspace, 'run', assertText(id, 'A run id'), { facets });
    // What is being removed for good is gone for everybody else.
    return record?.columns['lifecycle'] === 'purging' ? undefined : record;
  }

  async function get(id: string): Promise<StoredRecord> {
    const record = await find(id);
    if (record !== undefined) return record;
    throw new KeelsonError(
      'NOT_FOUND',
      `There is no run ${id.slice(0, 100)} in workspace ${workspace}.`,
      { details: { runId: id } },
    );
  }

  async function heartbeatsOf(
    records: readonly StoredRecord[],
  ): Promise<ReadonlyMap<string, number>> {
    const running = records.filter((record) => record.columns['status'] === 'RUNNING');
    if (running.length === 0) return new Map();
    return parts.heartbeats.read(
      workspace,
      running.map((record) => record.id),
    );
  }

  function deathOfRecord(
    record: StoredRecord,
    heartbeatAt: number | undefined,
    now: number,
  ): Death | undefined {
    // The process that runs it knows how long its silences may be.
    const own = record.body['heartbeatTimeoutMs'];
    const timeoutMs = typeof own === 'number' ? own : parts.heartbeatTimeoutMs;
    const owner = ownerState(record.body['owner']);
    return deathOf(record, { heartbeatAt, owner, now, timeoutMs });
  }

  async function read(records: readonly StoredRecord[]): Promise<readonly Run[]> {
    const ids = records.map((record) => record.id);
    const [summaries, beats, now] = await Promise.all([
      scope.series.summariesOf(workspace, ids),
      heartbeatsOf(records),
      metadata.now(),
    ]);
    return records.map((record) => {
      const heartbeatAt = beats.get(record.id);
      const death = deathOfRecord(record, heartbeatAt, now);
      return runFromRecord(record, { summaries: summaries.get(record.id), heartbeatAt, death });
    });
  }

  async function deaths(records: readonly StoredRecord[]): Promise<ReadonlyMap<string, Death>> {
    const [beats, now] = await Promise.all([heartbeatsOf(records), metadata.now()]);
    const found = new Map<string, Death>();
    for (const record of records) {
      const death = deathOfRecord(record, beats.get(record.id), now);
      if (death !== undefined) found.set(record.id, death);
    }
    return found;
  }

  async function loggable(id: string): Promise<StoredRecord> {
    const record = await get(id);
    if (!isPresumedDead(record)) {
      if (!lateLogging) assertLoggable(record);
      return record;
    }
    await decideAndCommit(scope, async () => reopening(await get(id)));
    return get(id);
  }

  function reopening(record: StoredRecord): Decision<undefined> {
    if (!isPresumedDead(record)) return { changes: [], result: undefined };
    return {
      changes: [reopen(record, owned(record.body))],
      result: undefined,
      reason: 'its process came back, having been taken for dead',
    };
  }

  function guard(
    record: StoredRecord,
    what: string,
  ): { readonly change: Change; readonly reason?: string } {
    const { id, revision, body } = record;
    if (record.columns['status'] === 'RUNNING') {
      return { change: { op: 'assert', kind: 'run', id, expect: revision } };
    }
    const change = replaceRun(record, {}, { ...body, lateLoggedAt: scope.clock.now() });
    return { change, reason: `${what} logged after the end` };
  }

  function owned(body: JsonObject): JsonObject {
    const { owner: _, ...rest } = body;
    const owner = parts.elsewhere === true ? {} : { owner: describeOwner() };
    return { ...rest, ...owner, heartbeatTimeoutMs: parts.heartbeatTimeoutMs };
  }

  return {
    find,
    get,
    read,
    deaths,
    loggable,
    owned,
    guard,
    lateLogging,
    whileLoggable: (id, what, decide) =>
      decideAndCommit(scope, async () => {
        const record = await loggable(id);
        const changes = await decide(record);
        if (changes.length === 0) return { changes, result: undefined };
        const { change, ...reason } = guard(record, what);
        return { changes: [change, ...changes], result: undefined, ...reason };
      }),
    noteLate: (id, what) =>
      decideAndCommit(scope, async () => {
        const record = await get(id);
        const { change, ...reason } = guard(record, what);
        return { changes: [change], result: undefined, ...reason };
      }),
  };
}

/** The change that makes an ended run RUNNING again, with a body that no longer speaks of an end. */
export function reopen(record: StoredRecord, body: JsonObject): Change {
  const { statusReason: _, presumedDead: __, ...rest } = body;
  const columns = { status: 'RUNNING', endedAt: undefined, durationMs: undefined };
  return replaceRun(record, columns, rest);
}

/** The change that replaces columns and body of a run at the revision that was read. */
export function replaceRun(
  record: StoredRecord,
  columns: Readonly<Record<string, string | number | undefined>>,
  body: JsonObject,
): Change {
  return { op: 'replace', kind: 'run', id: record.id, expect: record.revision, columns, body };
}
