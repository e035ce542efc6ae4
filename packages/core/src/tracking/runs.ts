import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { RevisionEntry, StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, type Json, type JsonObject } from '../json.ts';
import { assertAllowed, type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import type { ActiveRun } from './active-run.ts';
import { emitOfRun } from './emit-of-run.ts';
import { unflattenParams } from './params.ts';
import { optional, type Run, type RunStatus } from './run.ts';
import type { RunEnding } from './run-ending.ts';
import type { RunLogging } from './run-logging.ts';
import { type RunRecords, reopen, replaceRun } from './run-records.ts';
import type { JoinOptions, RunStarting } from './run-starting.ts';
import { assertRunName, type StartRunOptions } from './start-run-options.ts';
import { systemMetricsOption } from './system-metrics.ts';
import { createWithRun } from './with-run.ts';

/** What may be changed about a run. */
export interface RunChange {
  readonly name?: string;
  readonly description?: string;
  /** CONFLICT if the run is no longer at this revision. */
  readonly revision?: number;
}

/** One change of a run. */
export interface RunRevision {
  readonly revision: number;
  readonly at: number;
  /** The principal. */
  readonly by: string;
  readonly reason?: string;
  readonly status: RunStatus;
  readonly name: string;
  readonly lifecycle: Run['lifecycle'];
}

/** The verbs on runs. */
export interface Runs {
  /** A RUNNING run to log to; `finish` it. `withRun` does both. */
  startRun(options: StartRunOptions): Promise<ActiveRun>;
  /**
   * Runs `work` with a run: COMPLETED when it returns, FAILED with the message when it throws, KILLED
   * when the signal was aborted or `work` throws an AbortError. What `work` throws is thrown on. Nested
   * calls make nested runs. A run that `work` has finished itself stays as it is. Where the end cannot be
   * written down (the disk is full, say), what `work` answered is answered all the same, and the logger is
   * told: hours of training are not lost for a line in a database.
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
  /**
   * Who changed the run's state, name, description or owner, when and why, oldest first: its start, its
   * end, reopenings, and what was logged after the end. Params, tags and metrics are not among them.
   */
  getRunHistory(id: string): Promise<readonly RunRevision[]>;
  /** Reopens a finished run, or joins one that runs; the run's history tells who did and when. */
  resumeRun(id: string, options?: JoinOptions): Promise<ActiveRun>;
  /**
   * A handle of a run that runs, begun by whatever process. Of one that has ended it takes nothing (CONFLICT); one that
   * was only presumed dead runs again.
   */
  joinRun(id: string): Promise<ActiveRun>;
  updateRun(id: string, change: RunChange): Promise<Run>;
  /** Tags stay open after the end; at most 50. */
  setRunTags(id: string, tags: Readonly<Record<string, string>>): Promise<void>;
  removeRunTags(id: string, keys: readonly string[]): Promise<void>;
  /** Soft; `restoreRun` undoes it. */
  deleteRun(id: string): Promise<void>;
  restoreRun(id: string): Promise<Run>;
  /** Marks runs whose process died as FAILED, at most `limit` (100 when left out); answers how many. */
  reap(options?: { readonly limit?: number }): Promise<number>;
}

/** What runs need beside the scope. */
export interface RunsParts {
  readonly records: RunRecords;
  readonly starting: RunStarting;
  readonly logging: RunLogging;
  readonly ending: RunEnding;
}

const changeShape = z.strictObject({
  name: z.string().optional(),
  description: z.string().optional(),
  revision: z.number().optional(),
} satisfies Record<keyof RunChange, z.ZodType>);
/** The shape of {@link JoinOptions}. */
export const joinShape: z.ZodObject = z.strictObject({
  systemMetrics: systemMetricsOption.optional(),
} satisfies Record<keyof JoinOptions, z.ZodType>);
const reapShape = z.strictObject({ limit: z.number().int().min(1).optional() });

/** The verbs on runs, bound to a scope. */
export function createRuns(scope: Scope, parts: RunsParts): Runs {
  const { metadata, workspace } = scope;
  const { records, starting, logging, ending } = parts;

  async function get(id: string): Promise<Run> {
    const [run] = await records.read([await records.get(id)]);
    return run as Run;
  }

  async function edit(
    id: string,
    decide: (record: StoredRecord) => readonly Change[],
    reason?: string,
  ): Promise<void> {
    await assertAllowed(scope, 'run.write', `run:${assertText(id, 'A run id')}`);
    await decideAndCommit(scope, async (): Promise<Decision<undefined>> => {
      const changes = decide(await records.get(id));
      return { changes, result: undefined, ...(reason === undefined ? {} : { reason }) };
    });
  }

  return {
    startRun: (options) => starting.start(options),
    getRun: get,
    withRun: createWithRun(scope, starting),

    async findRun(id) {
      const record = await records.find(id);
      return record && (await records.read([record]))[0];
    },

    async getParams(id) {
      const record = await records.get(id);
      return unflattenParams(record.facets['params'] ?? {});
    },

    async getParamHistory(id) {
      await records.get(id);
      const entries: StoredRecord[] = [];
      let cursor: string | undefined;
      do {
        const page = await metadata.query(workspace, 'param_entry', {
          where: { op: 'compare', left: { from: 'column', name: 'runId' }, cmp: '=', value: id },
          orderBy: [{ by: { from: 'column', name: 'loggedAt' }, direction: 'asc' }],
          limit: 1000,
          ...(cursor === undefined ? {} : { cursor }),
        });
        entries.push(...page.records);
        cursor = page.cursor;
      } while (cursor !== undefined);
      return entries.map((record) => ({
        at: record.columns['loggedAt'] as number,
        params: record.body['params'] as Record<string, Json>,
      }));
    },

    async getRunHistory(id) {
      await records.get(id);
      const all: RunRevision[] = [];
      for (let page: readonly RevisionEntry[]; ; ) {
        const after = all.at(-1)?.revision ?? 0;
        page = await metadata.history(workspace, 'run', id, { after, limit: 1000 });
        all.push(...page.map(toRevision));
        if (page.length < 1000) return all;
      }
    },

    async resumeRun(id, options = {}) {
      checkOptions(joinShape, options, 'resumeRun');
      await edit(
        id,
        (record) =>
          record.columns['status'] === 'RUNNING'
            ? []
            : [reopen(record, records.owned(record.body))],
        'resumed',
      );
      return starting.join(await records.get(id), options);
    },

    async joinRun(id) {
      await assertAllowed(scope, 'run.write', `run:${assertText(id, 'A run id')}`);
      // Whoever begins it measures the machine that it runs on.
      return starting.join(await records.get(id), { systemMetrics: false });
    },

    async updateRun(id, change) {
      checkOptions(changeShape, change, 'A change of a run');
      const name = change.name === undefined ? {} : { name: assertRunName(change.name) };
      const description = assertText(change.description ?? '', 'A description', 2048);
      await edit(id, (record) => {
        assertRevision(record, change.revision);
        const body = change.description === undefined ? {} : { description };
        return [replaceRun(record, name, { ...record.body, ...body })];
      });
      return get(id);
    },

    async setRunTags(id, tags) {
      await assertAllowed(scope, 'run.write', `run:${assertText(id, 'A run id')}`);
      await logging.setTags(id, tags);
    },

    async removeRunTags(id, keys) {
      await assertAllowed(scope, 'run.write', `run:${assertText(id, 'A run id')}`);
      await logging.removeTags(id, keys);
    },

    async deleteRun(id) {
      await edit(id, (record) => {
        if (record.columns['lifecycle'] === 'deleted') return [];
        const columns = { lifecycle: 'deleted', deletedAt: scope.clock.now() };
        return [replaceRun(record, columns, record.body), emitOfRun(scope, id, 'run.deleted', {})];
      });
    },

    async restoreRun(id) {
      await edit(id, (record) => {
        if (record.columns['lifecycle'] === 'active') return [];
        const columns = { lifecycle: 'active', deletedAt: undefined };
        return [replaceRun(record, columns, record.body), emitOfRun(scope, id, 'run.restored', {})];
      });
      return get(id);
    },

    async reap(options = {}) {
      checkOptions(reapShape, options, 'reap');
      return ending.reap(options.limit ?? 100);
    },
  };
}

function toRevision(entry: RevisionEntry): RunRevision {
  const { revision, at, by, columns } = entry;
  return {
    revision,
    at,
    by,
    status: columns['status'] as RunStatus,
    name: columns['name'] as string,
    lifecycle: columns['lifecycle'] as Run['lifecycle'],
    ...optional('reason', entry.reason),
  };
}

function assertRevision(record: StoredRecord, revision: number | undefined): void {
  if (revision === undefined || revision === record.revision) return;
  throw new KeelsonError(
    'CONFLICT',
    `Run ${record.id} was changed by someone else (it is at revision ${record.revision}, not ${revision}); read it again and repeat your change.`,
    { details: { runId: record.id, revision: record.revision } },
  );
}
