import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertText, type JsonObject } from '../json.ts';
import { assertAllowed, commitChanges, decideAndCommit } from '../operations/decide-and-commit.ts';
import {
  assertExperimentName,
  assertTags,
  disambiguatedName,
  type Experiment,
  experimentFromRecord,
  type NewExperiment,
} from './experiment.ts';

const facets = ['tags'] as const;

/** The verbs on experiments. */
export interface Experiments {
  /** CONFLICT when the name is taken, unless `ifExists` says otherwise. */
  createExperiment(options: NewExperiment): Promise<Experiment>;
  /** By id or by name; NOT_FOUND otherwise. Deleted ones are found by id only. */
  getExperiment(idOrName: string): Promise<Experiment>;
  findExperiment(idOrName: string): Promise<Experiment | undefined>;
  listExperiments(options?: {
    readonly lifecycle?: Experiment['lifecycle'];
    readonly limit?: number;
    readonly cursor?: string;
  }): Promise<{ readonly experiments: readonly Experiment[]; readonly cursor?: string }>;
  updateExperiment(
    idOrName: string,
    change: {
      readonly name?: string;
      readonly description?: string;
      readonly lifecycle?: 'active' | 'archived';
      /** CONFLICT if the experiment is no longer at this revision. */
      readonly revision?: number;
    },
  ): Promise<Experiment>;
  setExperimentTags(idOrName: string, tags: Readonly<Record<string, string>>): Promise<void>;
  /** Soft: its name is free again, its runs are no longer found, `restoreExperiment` undoes it. */
  deleteExperiment(idOrName: string): Promise<void>;
  /** CONFLICT when another experiment has taken the name meanwhile. */
  restoreExperiment(id: string): Promise<Experiment>;
}

/** The verbs on experiments, bound to a scope. */
export function createExperiments(scope: Scope): Experiments {
  const { metadata, workspace } = scope;

  async function find(idOrName: string): Promise<Experiment | undefined> {
    const byId = await metadata.find(workspace, 'experiment', idOrName, { facets });
    if (byId !== undefined) return experimentFromRecord(byId);
    const where = {
      op: 'compare',
      left: { from: 'column', name: 'liveName' },
      cmp: '=',
      value: idOrName,
    } as const;
    const { records } = await metadata.query(workspace, 'experiment', { where, limit: 1, facets });
    return records[0] && experimentFromRecord(records[0]);
  }

  async function get(idOrName: string): Promise<Experiment> {
    const found = await find(assertText(idOrName, 'An experiment id or name'));
    if (found !== undefined) return found;
    throw new KeelsonError(
      'NOT_FOUND',
      `There is no experiment ${JSON.stringify(idOrName)} in workspace ${workspace}; create it with createExperiment({ name }).`,
      { details: { experiment: idOrName } },
    );
  }

  async function insert(name: string, options: NewExperiment): Promise<Experiment> {
    const id = scope.ids.next();
    await commitChanges(scope, [
      {
        op: 'create',
        kind: 'experiment',
        id,
        columns: { name, liveName: name, lifecycle: 'active', createdBy: scope.principal.id },
        body: { description: options.description ?? '' },
        facets: { tags: options.tags ?? {} },
      },
    ]);
    return get(id);
  }

  async function create(options: NewExperiment): Promise<Experiment> {
    const name = assertExperimentName(options.name);
    if (options.description !== undefined) assertText(options.description, 'A description', 2048);
    assertTags(options.tags ?? {}, 20);
    await assertAllowed(scope, 'experiment.create', `experiment:${name}`);
    // Reading first spares the common `reuse` a failing commit; the unique key decides races.
    for (let attempt = 1; ; attempt += 1) {
      const existing = options.ifExists === 'reuse' ? await find(name) : undefined;
      if (existing !== undefined) return existing;
      const suffix = options.ifExists === 'suffix' && attempt > 1;
      const candidate = suffix ? disambiguatedName(name, scope.clock.now() + (attempt - 2) * 1000) : name;
      try {
        return await insert(candidate, options);
      } catch (error) {
        const again = options.ifExists === 'reuse' || options.ifExists === 'suffix';
        if (!isKeelsonError(error, 'CONFLICT') || !again || attempt >= 20) {
          throw error;
        }
      }
    }
  }

  function change(
    idOrName: string,
    decide: (experiment: Experiment) => {
      readonly columns?: Readonly<Record<string, string | number | undefined>>;
      readonly body?: JsonObject;
    },
  ): Promise<Experiment> {
    return decideAndCommit(scope, async () => {
      const experiment = await get(idOrName);
      const { columns, body } = decide(experiment);
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
        result: experiment.id,
      };
    }).then(get);
  }

  return {
    createExperiment: create,
    getExperiment: get,
    findExperiment: find,

    async listExperiments(options = {}) {
      const { records, cursor } = await metadata.query(workspace, 'experiment', {
        where: {
          op: 'compare',
          left: { from: 'column', name: 'lifecycle' },
          cmp: '=',
          value: options.lifecycle ?? 'active',
        },
        orderBy: [{ by: { from: 'column', name: 'name' }, direction: 'asc' }],
        limit: options.limit ?? 50,
        facets,
        ...(options.cursor === undefined ? {} : { cursor: options.cursor }),
      });
      const experiments = records.map(experimentFromRecord);
      return cursor === undefined ? { experiments } : { experiments, cursor };
    },

    async updateExperiment(idOrName, update) {
      const experiment = await get(idOrName);
      await assertAllowed(scope, 'experiment.update', `experiment:${experiment.id}`);
      return change(experiment.id, (current) => {
        if (update.revision !== undefined && update.revision !== current.revision) {
          throw new KeelsonError(
            'CONFLICT',
            `Experiment ${current.name} was changed by someone else (it is at revision ${current.revision}, not ${update.revision}); read it again and repeat your change.`,
          );
        }
        const name = update.name === undefined ? current.name : assertExperimentName(update.name);
        if (update.description !== undefined) assertText(update.description, 'A description', 2048);
        return {
          columns: {
            name,
            liveName: current.lifecycle === 'deleted' ? undefined : name,
            lifecycle: update.lifecycle ?? current.lifecycle,
          },
          body: { description: update.description ?? current.description },
        };
      });
    },

    async setExperimentTags(idOrName, tags) {
      const experiment = await get(idOrName);
      assertTags({ ...experiment.tags, ...tags }, 20);
      await assertAllowed(scope, 'experiment.update', `experiment:${experiment.id}`);
      await commitChanges(scope, [
        { op: 'merge', kind: 'experiment', id: experiment.id, set: { tags } },
      ]);
    },

    async deleteExperiment(idOrName) {
      const experiment = await get(idOrName);
      await assertAllowed(scope, 'experiment.delete', `experiment:${experiment.id}`);
      await change(experiment.id, () => ({
        columns: { lifecycle: 'deleted', liveName: undefined, deletedAt: scope.clock.now() },
      }));
    },

    async restoreExperiment(id) {
      await assertAllowed(scope, 'experiment.delete', `experiment:${id}`);
      return change(id, (current) => ({
        columns: { lifecycle: 'active', liveName: current.name, deletedAt: undefined },
      }));
    },
  };
}
