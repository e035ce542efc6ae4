import type { Heartbeats, MetricWriter } from '../contracts/metric-writer.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import type { SeriesSummary } from '../contracts/series-store.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { draftEvent } from '../events/draft-event.ts';
import { assertText, canonicalJson, encodeJson, type Json, type JsonObject } from '../json.ts';
import { assertAllowed, commitChanges, decideAndCommit } from '../operations/decide-and-commit.ts';
import { describeOwner, ownerState } from '../operations/process-owner.ts';
import { ActiveRun, currentRun, enterRun, type RunBackend } from './active-run.ts';
import type { ArtifactLog, Artifacts } from './artifacts.ts';
import { assertDataset, datasetId } from './dataset.ts';
import { captureEnvironment, type Environment, type EnvironmentOptions } from './environment.ts';
import { assertTags } from './experiment.ts';
import type { Experiments } from './experiments.ts';
import { flattenParams, unflattenParams } from './params.ts';
import { assertMove, deathOf, optional, type Run, runFromRecord, type RunStatus, type SourceType } from './run.ts';
import { runNameFor } from './run-name.ts';

/** How a run begins. */
export interface StartRunOptions {
  /** Name or id; an experiment of that name is made when there is none. */
  readonly experiment: string;
  readonly name?: string;
  readonly description?: string;
  readonly params?: object;
  readonly tags?: Readonly<Record<string, string>>;
  readonly parentRunId?: string;
  readonly sourceType?: SourceType;
  /** What is captured about where it runs; false for nothing. */
  readonly environment?: EnvironmentOptions | false;
  /** A UUID of the caller's: starting it again answers the same run, so that a restart leaves no strays. */
  readonly id?: string;
  /** Once aborted, `withRun` ends the run as KILLED. */
  readonly signal?: AbortSignal;
}

/** The verbs on runs. */
export interface Runs {
  /** A RUNNING run to log to; `finish` it. `withRun` does both. */
  startRun(options: StartRunOptions): Promise<ActiveRun>;
  /**
   * Runs `work` with a run: COMPLETED when it returns, FAILED with the message when it throws, KILLED
   * when the signal was aborted. What `work` throws is thrown on. Nested calls make nested runs.
   */
  withRun<T>(options: StartRunOptions, work: (run: ActiveRun) => Promise<T> | T): Promise<T>;
  /** NOT_FOUND when there is none. A RUNNING run whose process died reads as FAILED, with the reason. */
  getRun(id: string): Promise<Run>;
  findRun(id: string): Promise<Run | undefined>;
  /** The nested structure that was logged, types kept. */
  getParams(id: string): Promise<JsonObject>;
  /** Each call that logged params, oldest first. */
  getParamHistory(
    id: string,
  ): Promise<readonly { readonly at: number; readonly params: Readonly<Record<string, Json>> }[]>;
  /** Reopens a finished run; the run's history tells who did and when. */
  resumeRun(id: string): Promise<ActiveRun>;
  updateRun(
    id: string,
    change: { readonly name?: string; readonly description?: string },
  ): Promise<Run>;
  /** Soft; `restoreRun` undoes it. */
  deleteRun(id: string): Promise<void>;
  restoreRun(id: string): Promise<Run>;
  /** Marks runs whose process died as FAILED, at most `limit`; answers how many. */
  reap(options?: { readonly limit?: number }): Promise<number>;
}

/** What runs need beside the scope. */
export interface RunsParts {
  readonly writer: () => MetricWriter;
  readonly heartbeats: Heartbeats;
  readonly experiments: Experiments;
  readonly artifacts: Artifacts & ArtifactLog;
  /** A run without a sign of life for this long is dead. */
  readonly heartbeatTimeoutMs: number;
}

const facets = ['params', 'tags'] as const;

/** The verbs on runs, bound to a scope; with `read`, which search shares. */
export function createRuns(
  scope: Scope,
  parts: RunsParts,
): Runs & { read(records: readonly StoredRecord[]): Promise<readonly Run[]> } {
  const { metadata, workspace } = scope;
  const { experiments, artifacts } = parts;
  let environment: Promise<Environment> | undefined;

  async function read(records: readonly StoredRecord[]): Promise<readonly Run[]> {
    const ids = records.map((record) => record.id);
    const running = records.filter((r) => r.columns['status'] === 'RUNNING').map((r) => r.id);
    const [summaries, beats] = await Promise.all([
      scope.series.summariesOf(workspace, ids),
      running.length === 0
        ? new Map<string, number>()
        : parts.heartbeats.read(workspace, running),
    ]);
    const now = scope.clock.now();
    return records.map((record) => {
      const beat = beats.get(record.id);
      return runFromRecord(record, summaries.get(record.id), beat, death(record, beat, now));
    });
  }

  function death(record: StoredRecord, beat: number | undefined, now: number): string | undefined {
    const seen = {
      status: record.columns['status'] as string,
      startedAt: Math.max(record.columns['startedAt'] as number, record.updatedAt),
    };
    return deathOf(seen, beat, ownerState(record.body['owner']), now, parts.heartbeatTimeoutMs);
  }

  async function findRecord(id: string): Promise<StoredRecord | undefined> {
    return metadata.find(workspace, 'run', assertText(id, 'A run id'), { facets });
  }

  async function getRecord(id: string): Promise<StoredRecord> {
    const record = await findRecord(id);
    if (record !== undefined) return record;
    throw new KeelsonError('NOT_FOUND', `There is no run ${id} in workspace ${workspace}.`, {
      details: { runId: id },
    });
  }

  async function get(id: string): Promise<Run> {
    const [run] = await read([await getRecord(id)]);
    return run as Run;
  }

  async function start(options: StartRunOptions): Promise<ActiveRun> {
    if (options.id !== undefined) {
      const existing = await findRecord(options.id);
      if (existing !== undefined) return takeOver(existing);
    }
    const tags = assertTags(options.tags ?? {}, 50);
    const params = Object.fromEntries(flattenParams(options.params ?? {}));
    const [experiment, captured] = await Promise.all([
      experiments.createExperiment({ name: options.experiment, ifExists: 'reuse' }),
      capture(options.environment),
    ]);
    await assertAllowed(scope, 'run.create', `experiment:${experiment.id}`);
    const id = options.id ?? scope.ids.next();
    const name = assertText(options.name ?? runNameFor(id), 'A run name', 255);
    const startedAt = scope.clock.now();
    const body = {
      description: assertText(options.description ?? '', 'A description', 2048),
      environment: captured.facts,
      owner: describeOwner(),
    };
    const changes: Change[] = [
      {
        op: 'create',
        kind: 'run',
        id,
        columns: {
          experimentId: experiment.id,
          parentRunId: options.parentRunId,
          name,
          status: 'RUNNING',
          startedAt,
          sourceType: options.sourceType ?? 'SCRIPT',
          sourceName: captured.sourceName,
          sourceVersion: captured.gitCommit,
          userId: scope.principal.id,
          lifecycle: 'active',
        },
        body,
        facets: { tags, params },
      },
      ...paramEntry(id, params),
      emit(id, 'run.started', { runId: id, experimentId: experiment.id, name }),
    ];
    try {
      await commitChanges(scope, changes);
    } catch (error) {
      // Two processes may start the run of one id at once: the second takes what the first made.
      const raced = options.id !== undefined && isKeelsonError(error, 'CONFLICT');
      const existing = raced ? await findRecord(id) : undefined;
      if (existing === undefined) throw error;
      return takeOver(existing);
    }
    return activate({ id, name, experimentId: experiment.id });
  }

  // The run of a caller's id goes on in this process, whoever began it.
  async function takeOver(record: StoredRecord): Promise<ActiveRun> {
    if (record.columns['status'] !== 'RUNNING') return activateRecord(record);
    await decideAndCommit(scope, async () => {
      const current = await getRecord(record.id);
      const body = { ...current.body, owner: describeOwner() };
      return { changes: [replace(current, {}, body)], result: undefined };
    });
    return activateRecord(record);
  }

  function activateRecord(record: StoredRecord): ActiveRun {
    const { name, experimentId } = record.columns as { name: string; experimentId: string };
    return activate({ id: record.id, name, experimentId });
  }

  function activate(run: {
    readonly id: string;
    readonly name: string;
    readonly experimentId: string;
  }): ActiveRun {
    parts.writer().openRun(workspace, run.id);
    return new ActiveRun(run, backend);
  }

  const backend: RunBackend = {
    workspace,
    now: () => scope.clock.now(),
    writer: parts.writer,
    warn: (message, fields) => scope.logger.warn({ component: 'tracking', ...fields }, message),
    artifacts,
    logParams,
    setTags,
    logDataset,
    finish,
  };

  async function logParams(runId: string, params: ReadonlyMap<string, Json>): Promise<void> {
    const record = await getRecord(runId);
    assertLoggable(record);
    for (const [key, value] of params) {
      const former = record.facets['params'];
      if (former === undefined || !Object.hasOwn(former, key)) continue;
      if (canonicalJson(former[key]) === canonicalJson(value)) continue;
      backend.warn(
        `Param ${key} of run ${runId} was ${encodeJson(former[key])} and is now ${encodeJson(value)}; the former value stays in its history.`,
        { runId, key },
      );
    }
    const set = { params: Object.fromEntries(params) };
    await commitChanges(scope, [
      { op: 'merge', kind: 'run', id: runId, set },
      ...paramEntry(runId, set.params),
    ]);
  }

  function paramEntry(runId: string, params: Readonly<Record<string, Json>>): Change[] {
    if (Object.keys(params).length === 0) return [];
    const columns = { runId, loggedAt: scope.clock.now() };
    return [{ op: 'create', kind: 'param_entry', id: scope.ids.next(), columns, body: { params } }];
  }

  async function setTags(runId: string, tags: Readonly<Record<string, string>>): Promise<void> {
    const record = await getRecord(runId);
    assertTags({ ...(record.facets['tags'] as Record<string, string>), ...tags }, 50);
    await commitChanges(scope, [{ op: 'merge', kind: 'run', id: runId, set: { tags } }]);
  }

  async function logDataset(
    runId: string,
    input: Parameters<RunBackend['logDataset']>[1],
  ): Promise<string> {
    const dataset = assertDataset(input);
    const id = datasetId(dataset.name, dataset.digest);
    const columns = {
      name: dataset.name,
      digest: dataset.digest,
      rowCount: dataset.rowCount,
      sourceUri: dataset.sourceUri,
    };
    const body = {
      ...optional('schema', dataset.schema),
      ...optional('profile', dataset.profile),
    };
    await createOnce({ op: 'create', kind: 'dataset', id, columns, body });
    const edge = { from: id, to: runId, role: dataset.role };
    await createOnce({ op: 'create', kind: 'edge', id: scope.ids.next(), columns: edge });
    return id;
  }

  async function createOnce(change: Change): Promise<void> {
    try {
      await commitChanges(scope, [change]);
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
  }

  async function finish(
    runId: string,
    status: RunStatus,
    reason: string | undefined,
  ): Promise<void> {
    const lostPoints = await settlePoints(runId);
    await decideAndCommit(scope, async () => {
      const record = await getRecord(runId);
      const from = record.columns['status'] as RunStatus;
      if (from === status) return { changes: [], result: undefined };
      assertMove(runId, from, status);
      return {
        changes: await ending(record, status, scope.clock.now(), {
          ...optional('statusReason', reason),
          ...(Object.keys(lostPoints).length === 0 ? {} : { lostPoints }),
        }),
        result: undefined,
      };
    });
    parts.writer().closeRun(workspace, runId);
  }

  /** Makes the run's points durable; a store that is away does not keep a run from ending. */
  async function settlePoints(runId: string): Promise<Record<string, number>> {
    try {
      await parts.writer().flush({ timeoutMs: 10_000 });
    } catch (error) {
      backend.warn(`Metric points of run ${runId} are not durable yet: ${(error as Error).message}`, {
        runId,
      });
    }
    const lost = parts.writer().health().dropped.filter((each) => each.series.owner === runId);
    return Object.fromEntries(lost.map((each) => [each.series.key, each.points]));
  }

  async function ending(
    record: StoredRecord,
    status: RunStatus,
    endedAt: number,
    facts: JsonObject,
  ): Promise<Change[]> {
    const [summaries, { artifacts: files }] = await Promise.all([
      scope.series.summaries(workspace, record.id),
      artifacts.listArtifacts(record.id, { limit: 1000 }),
    ]);
    const startedAt = record.columns['startedAt'] as number;
    const columns = { status, endedAt, durationMs: Math.max(0, endedAt - startedAt) };
    return [
      replace(record, columns, { ...record.body, ...facts }),
      emit(record.id, 'run.completed', {
        runId: record.id,
        experimentId: record.columns['experimentId'] as string,
        status,
        finalMetrics: finalMetrics(summaries),
        artifactPaths: files.map((file) => file.path),
      }),
    ];
  }

  function emit(runId: string, type: string, payload: JsonObject): Change {
    const event = { type, subject: `run:${runId}`, source: 'tracking', payload };
    return { op: 'emit', event: draftEvent(scope, event) };
  }

  async function capture(options: StartRunOptions['environment']): Promise<Environment> {
    if (options === false) return { facts: {} };
    if (options !== undefined) return captureEnvironment(options);
    environment ??= captureEnvironment();
    return environment;
  }

  async function edit(
    id: string,
    decide: (record: StoredRecord) => readonly Change[],
  ): Promise<Run> {
    await assertAllowed(scope, 'run.update', `run:${id}`);
    await decideAndCommit(scope, async () => ({
      changes: decide(await getRecord(id)),
      result: undefined,
    }));
    return get(id);
  }

  return {
    read,
    startRun: start,
    getRun: get,

    async withRun(options, work) {
      const parent = options.parentRunId ?? currentRun()?.id;
      const run = await start({ ...options, ...optional('parentRunId', parent) });
      try {
        const result = await enterRun(run, async () => work(run));
        await run.finish(options.signal?.aborted ? 'KILLED' : 'COMPLETED');
        return result;
      } catch (error) {
        const killed = options.signal?.aborted || (error as Error | undefined)?.name === 'AbortError';
        const message = error instanceof Error ? error.message : String(error);
        await run.finish(killed ? 'KILLED' : 'FAILED', message.slice(0, 2000));
        throw error;
      }
    },

    async findRun(id) {
      const record = await findRecord(id);
      return record && (await read([record]))[0];
    },

    async getParams(id) {
      const record = await getRecord(id);
      return unflattenParams(record.facets['params'] ?? {});
    },

    async getParamHistory(id) {
      const left = { from: 'column', name: 'runId' } as const;
      const { records } = await metadata.query(workspace, 'param_entry', {
        where: { op: 'compare', left, cmp: '=', value: id },
        orderBy: [{ by: { from: 'column', name: 'loggedAt' }, direction: 'asc' }],
        limit: 1000,
      });
      return records.map((record) => ({
        at: record.columns['loggedAt'] as number,
        params: record.body['params'] as Record<string, Json>,
      }));
    },

    async resumeRun(id) {
      await edit(id, (record) => {
        const { statusReason: _, ...body } = record.body;
        const columns = { status: 'RUNNING', endedAt: undefined, durationMs: undefined };
        return [replace(record, columns, { ...body, owner: describeOwner() })];
      });
      return activateRecord(await getRecord(id));
    },

    updateRun: (id, change) =>
      edit(id, (record) => [
        replace(
          record,
          change.name === undefined ? {} : { name: assertText(change.name, 'A run name', 255) },
          change.description === undefined
            ? record.body
            : { ...record.body, description: assertText(change.description, 'A description', 2048) },
        ),
      ]),

    async deleteRun(id) {
      await edit(id, (record) => [
        replace(record, { lifecycle: 'deleted', deletedAt: scope.clock.now() }, record.body),
        emit(id, 'run.deleted', { runId: id }),
      ]);
    },

    restoreRun: (id) =>
      edit(id, (record) => [
        replace(record, { lifecycle: 'active', deletedAt: undefined }, record.body),
        emit(id, 'run.restored', { runId: id }),
      ]),

    async reap(options = {}) {
      const left = { from: 'column', name: 'status' } as const;
      const { records } = await metadata.query(workspace, 'run', {
        where: { op: 'compare', left, cmp: '=', value: 'RUNNING' },
        orderBy: [{ by: { from: 'column', name: 'startedAt' }, direction: 'asc' }],
        limit: options.limit ?? 100,
        facets,
      });
      if (records.length === 0) return 0;
      const beats = await parts.heartbeats.read(
        workspace,
        records.map((record) => record.id),
      );
      let reaped = 0;
      for (const record of records) {
        const beat = beats.get(record.id);
        const reason = death(record, beat, scope.clock.now());
        if (reason === undefined) continue;
        const lastSign = Math.max(record.columns['startedAt'] as number, beat ?? 0);
        try {
          const changes = await ending(record, 'FAILED', lastSign, { statusReason: reason });
          await commitChanges(scope, changes, reason);
          reaped += 1;
        } catch (error) {
          // It came back to life or somebody else ended it: either way it is not ours to end.
          if (!isKeelsonError(error, 'STALE')) throw error;
        }
      }
      return reaped;
    },
  };
}

function replace(
  record: StoredRecord,
  columns: Readonly<Record<string, string | number | undefined>>,
  body: JsonObject,
): Change {
  return { op: 'replace', kind: 'run', id: record.id, expect: record.revision, columns, body };
}

function assertLoggable(record: StoredRecord): void {
  if (record.columns['status'] === 'RUNNING') return;
  throw new KeelsonError(
    'CONFLICT',
    `Run ${record.id} is ${record.columns['status']}; params, metrics and artifacts are closed. Reopen it with tracking.resumeRun(id).`,
    { details: { runId: record.id } },
  );
}

function finalMetrics(summaries: readonly SeriesSummary[]): JsonObject {
  return Object.fromEntries(summaries.map((summary) => [summary.key, summary.last]));
}
