import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertText, type JsonObject, storableText } from '../json.ts';
import {
  assertAllowed,
  commitChanges,
  type Decision,
  decideAndCommit,
} from '../operations/decide-and-commit.ts';
import {
  assertExperimentChange,
  assertNewExperiment,
  assertTags,
  disambiguatedName,
  type Experiment,
  type ExperimentChange,
  experimentFromRecord,
  mergeTags,
  type NewExperiment,
  type StoredExperiment,
  unsetTags,
} from './experiment.ts';
import { type Threshold, thresholdsToJson } from './threshold.ts';

const facets = ['tags'] as const;

/** The verbs on experiments. */
export interface Experiments {
  /** CONFLICT when the name is taken, unless `ifExists` says otherwise. */
  createExperiment(options: NewExperiment): Promise<Experiment>;
  /** By id or by name; NOT_FOUND otherwise. Deleted ones are found by id only. */
  getExperiment(idOrName: string): Promise<Experiment>;
  findExperiment(idOrName: string): Promise<Experiment | undefined>;
  /** By name. */
  listExperiments(options?: {
    readonly lifecycle?: Experiment['lifecycle'];
    /** A path: only what lies below it, however deep; `fraud` finds `fraud/cnn`, not `fraud` itself. */
    readonly below?: string;
    readonly limit?: number;
    readonly cursor?: string;
  }): Promise<{ readonly experiments: readonly Experiment[]; readonly cursor?: string }>;
  updateExperiment(idOrName: string, change: ExperimentChange): Promise<Experiment>;
  setExperimentTags(idOrName: string, tags: Readonly<Record<string, string>>): Promise<void>;
  removeExperimentTags(idOrName: string, keys: readonly string[]): Promise<void>;
  /** Soft: its name is free again, its runs are no longer found, `restoreExperiment` undoes it. */
  deleteExperiment(idOrName: string): Promise<void>;
  /** By id; its runs come back with it. CONFLICT when another experiment has taken the name meanwhile. */
  restoreExperiment(id: string): Promise<Experiment>;
}

/** Experiments for those who start and search runs: nothing is counted. */
export interface StoredExperiments {
  /**
   * As `createExperiment` with `ifExists: 'reuse'`, as this process has seen it last: for commits that assert
   * its revision. `fresh` reads it anew, after such a commit was STALE.
   */
  reuse(name: string, options?: { readonly fresh?: boolean }): Promise<StoredExperiment>;
  /** As `getExperiment`. */
  get(idOrName: string): Promise<StoredExperiment>;
  deletedExperimentIds(): Promise<readonly string[]>;
}

/** The verbs on experiments, bound to a scope. */
export function createExperiments(scope: Scope): {
  readonly experiments: Experiments;
  readonly stored: StoredExperiments;
} {
  const { metadata, workspace } = scope;
  const reused = new Map<string, StoredExperiment>();

  async function counted(stored: StoredExperiment): Promise<Experiment> {
    const where: Predicate = {
      op: 'and',
      of: [compare('experimentId', stored.id), compare('lifecycle', 'active')],
    };
    const { count } = await metadata.count(workspace, 'run', where, { exact: true });
    return { ...stored, runCount: count };
  }

  async function find(idOrName: string): Promise<StoredExperiment | undefined> {
    assertText(idOrName, 'An experiment id or name');
    const byId = await metadata.find(workspace, 'experiment', idOrName.slice(0, 1000), { facets });
    if (byId?.id === idOrName && byId.columns['lifecycle'] !== 'purging') {
      return experimentFromRecord(byId);
    }
    const where = compare('liveName', idOrName);
    const { records } = await metadata.query(workspace, 'experiment', { where, limit: 1, facets });
    return records[0] && experimentFromRecord(records[0]);
  }

  async function get(idOrName: string): Promise<StoredExperiment> {
    const found = await find(idOrName);
    if (found !== undefined) return found;
    throw noExperiment(idOrName, workspace);
  }

  async function insert(name: string, options: NewExperiment): Promise<StoredExperiment> {
    const id = scope.ids.next();
    await commitChanges(scope, [
      {
        op: 'create',
        kind: 'experiment',
        id,
        columns: { name, liveName: name, lifecycle: 'active', createdBy: scope.principal.id },
        body: bodyOf(options.description, options.thresholds),
        facets: { tags: options.tags ?? {} },
      },
    ]);
    return get(id);
  }

  async function create(options: NewExperiment): Promise<StoredExperiment> {
    assertNewExperiment(options);
    const { name, ifExists = 'error' } = options;
    await assertAllowed(scope, 'experiment.create', `experiment:${name}`);
    for (let attempt = 1; ; attempt += 1) {
      // Reading first spares the common `reuse` a failing commit; the unique key decides races.
      const existing = ifExists === 'reuse' ? await find(name) : undefined;
      if (existing !== undefined) return existing;
      const suffix = ifExists === 'suffix' && attempt > 1;
      const later = scope.clock.now() + (attempt - 2) * 1000;
      try {
        return await insert(suffix ? disambiguatedName(name, later) : name, options);
      } catch (error) {
        if (!isKeelsonError(error, 'CONFLICT')) throw error;
        if (ifExists === 'error' || attempt >= attempts) throw taken(name, error);
      }
    }
  }

  /** Nothing is committed where `decide` answers nothing. */
  async function change(
    id: string,
    decide: (experiment: StoredExperiment) =>
      | {
          readonly columns?: Readonly<Record<string, string | number | undefined>>;
          readonly body?: JsonObject;
        }
      | undefined,
  ): Promise<StoredExperiment> {
    await decideAndCommit(scope, async () => {
      const experiment = await get(id);
      const decided = decide(experiment);
      if (decided === undefined) return { changes: [], result: undefined };
      const { columns, body } = decided;
      return {
        changes: [
          {
            op: 'replace',
            kind: 'experiment',
            id: experiment.id,
            expect: experiment.revision,
            ...(columns === undefined ? {} : { columns }),
            ...(body === undefined ? {} : { body }),
          },
        ],
        result: undefined,
      };
    });
    return get(id);
  }

  async function changeTags(
    idOrName: string,
    decide: (record: StoredRecord) => Decision<undefined>,
  ): Promise<void> {
    const { id } = await get(idOrName);
    await assertAllowed(scope, 'experiment.update', `experiment:${id}`);
    await decideAndCommit(scope, async () => {
      const record = await metadata.find(workspace, 'experiment', id, { facets });
      if (record === undefined) throw noExperiment(id, workspace);
      return decide(record);
    });
  }

  const experiments: Experiments = {
    createExperiment: async (options) => counted(await create(options)),
    getExperiment: async (idOrName) => counted(await get(idOrName)),
    async findExperiment(idOrName) {
      const found = await find(idOrName);
      return found && counted(found);
    },

    async listExperiments(options = {}) {
      checkOptions(listShape, options, 'listExperiments');
      const { records, cursor } = await metadata.query(workspace, 'experiment', {
        where: listed(options.lifecycle ?? 'active', options.below),
        orderBy: [{ by: { from: 'column', name: 'name' }, direction: 'asc' }],
        limit: options.limit ?? 50,
        facets,
        ...(options.cursor === undefined ? {} : { cursor: options.cursor }),
      });
      const page = await Promise.all(
        records.map((record) => counted(experimentFromRecord(record))),
      );
      return cursor === undefined ? { experiments: page } : { experiments: page, cursor };
    },

    async updateExperiment(idOrName, update) {
      assertExperimentChange(update);
      const experiment = await get(idOrName);
      await assertAllowed(scope, 'experiment.update', `experiment:${experiment.id}`);
      try {
        return await counted(await change(experiment.id, (current) => changed(current, update)));
      } catch (error) {
        if (!isKeelsonError(error, 'CONFLICT') || error.details['unique'] === undefined)
          throw error;
        throw taken(update.name ?? experiment.name, error);
      }
    },

    async setExperimentTags(idOrName, tags) {
      assertTags(tags, maxTags);
      await changeTags(idOrName, (record) => mergeTags(record, tags, maxTags));
    },

    async removeExperimentTags(idOrName, keys) {
      checkOptions(keysShape, { keys }, 'Removing tags');
      await changeTags(idOrName, (record) => unsetTags(record, keys));
    },

    async deleteExperiment(idOrName) {
      const experiment = await get(idOrName);
      await assertAllowed(scope, 'experiment.delete', `experiment:${experiment.id}`);
      await change(experiment.id, ({ lifecycle }) =>
        lifecycle === 'deleted'
          ? undefined
          : {
              columns: { lifecycle: 'deleted', liveName: undefined, deletedAt: scope.clock.now() },
            },
      );
    },

    async restoreExperiment(id) {
      const subject = `experiment:${assertText(id, 'An experiment id')}`;
      await assertAllowed(scope, 'experiment.delete', subject);
      const { id: found, name } = await get(id);
      try {
        const restored = await change(found, (current) =>
          current.lifecycle === 'deleted'
            ? { columns: { lifecycle: 'active', liveName: current.name, deletedAt: undefined } }
            : undefined,
        );
        return await counted(restored);
      } catch (error) {
        if (!isKeelsonError(error, 'CONFLICT')) throw error;
        throw taken(name, error);
      }
    },
  };

  return {
    experiments,
    stored: {
      async reuse(name, { fresh = false } = {}) {
        const known = fresh ? undefined : reused.get(name);
        if (known !== undefined) {
          await assertAllowed(scope, 'experiment.create', `experiment:${name}`);
          return known;
        }
        const found = await create({ name, ifExists: 'reuse' });
        if (reused.size >= maxRemembered) reused.clear();
        reused.set(name, found);
        return found;
      },
      get,
      deletedExperimentIds,
    },
  };

  async function deletedExperimentIds(): Promise<readonly string[]> {
    const ids: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await metadata.query(workspace, 'experiment', {
        // Those that are being removed for good hide their runs too.
        where: {
          op: 'in',
          left: { from: 'column', name: 'lifecycle' },
          values: ['deleted', 'purging'],
        },
        limit: 1000,
        ...(cursor === undefined ? {} : { cursor }),
      });
      ids.push(...page.records.map((record) => record.id));
      cursor = page.cursor;
    } while (cursor !== undefined);
    return ids;
  }
}

const attempts = 20;
const maxTags = 20;
/** Experiments that need not be read for each run. */
const maxRemembered = 1000;
const keysShape = z.object({ keys: z.array(z.string()) });
const listShape = z.strictObject({
  lifecycle: z.enum(['active', 'archived', 'deleted']).optional(),
  below: z.string().optional(),
  limit: z.number().optional(),
  cursor: z.string().optional(),
});

function listed(lifecycle: string, below: string | undefined): Predicate {
  const alive = compare('lifecycle', lifecycle);
  if (below === undefined) return alive;
  const path = assertText(below, 'The path of experiments', 255).replace(/\/$/, '');
  if (path === '') {
    throw new KeelsonError(
      'INVALID',
      'The path of experiments is empty; leave `below` out to list them all.',
    );
  }
  const name = { from: 'column', name: 'name' } as const;
  // By code points, 0 comes next behind the slash.
  const first: Predicate = { op: 'compare', left: name, cmp: '>=', value: `${path}/` };
  const end: Predicate = { op: 'compare', left: name, cmp: '<', value: `${path}0` };
  return { op: 'and', of: [alive, first, end] };
}

/** What an update makes of an experiment. */
function changed(
  current: StoredExperiment,
  update: ExperimentChange,
): { readonly columns: Readonly<Record<string, string>>; readonly body: JsonObject } {
  if (update.revision !== undefined && update.revision !== current.revision) {
    throw new KeelsonError(
      'CONFLICT',
      `Experiment ${current.name} was changed by someone else (it is at revision ${current.revision}, not ${update.revision}); read it again and repeat your change.`,
      { details: { experiment: current.id, revision: current.revision } },
    );
  }
  if (current.lifecycle === 'deleted') {
    throw new KeelsonError(
      'CONFLICT',
      `Experiment ${current.name} is deleted; restore it first, with restoreExperiment(id).`,
      { details: { experiment: current.id } },
    );
  }
  const name = update.name ?? current.name;
  return {
    columns: { name, liveName: name, lifecycle: update.lifecycle ?? current.lifecycle },
    body: bodyOf(
      update.description ?? current.description,
      update.thresholds ?? current.thresholds,
    ),
  };
}

function bodyOf(
  description: string | undefined,
  thresholds: readonly Threshold[] = [],
): JsonObject {
  const held = thresholds.length === 0 ? {} : { thresholds: thresholdsToJson(thresholds) };
  return { description: description ?? '', ...held };
}

function noExperiment(idOrName: string, workspace: string): KeelsonError {
  return new KeelsonError(
    'NOT_FOUND',
    `There is no experiment ${JSON.stringify(storableText(idOrName, 255))} in workspace ${workspace}; create it with createExperiment({ name }).`,
    { details: { experiment: idOrName } },
  );
}

function taken(name: string, cause: unknown): KeelsonError {
  return new KeelsonError(
    'CONFLICT',
    `There is an experiment ${JSON.stringify(name)} already; use that one (ifExists: 'reuse'), or take another name.`,
    { cause, details: { experiment: name } },
  );
}

function compare(column: string, value: string): Predicate {
  return { op: 'compare', left: { from: 'column', name: column }, cmp: '=', value };
}
