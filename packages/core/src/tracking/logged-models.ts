import { z } from 'zod';
import { assertList, checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Order, Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { asJson, assertText } from '../json.ts';
import { parseFilter, parseOrder } from '../language/parse-filter.ts';
import { assertAllowed, commitChanges, decideAndCommit } from '../operations/decide-and-commit.ts';
import { everyRecord } from '../operations/every-record.ts';
import {
  type LoggedModel,
  type LoggedModelChange,
  type LoggedModelMetric,
  loggedModelChange,
  loggedModelFacets,
  loggedModelFromRecord,
  loggedModelVocabulary,
  type NewLoggedModel,
  newLoggedModel,
} from './logged-model.ts';
import type { RunRecords } from './run-records.ts';

/** What to look for. */
export interface LoggedModelSearch {
  /** Ids; those of all experiments when left out. */
  readonly experimentIds?: readonly string[];
  /** The filter language: `metrics.auc > 0.9 AND params.depth = '3' AND name LIKE 'tree%'`. */
  readonly filter?: string;
  /** Such as `metrics.auc DESC`; missing values come last. Newest first when left out. */
  readonly orderBy?: readonly string[];
  /** 1 to 1,000; 50 when left out. */
  readonly limit?: number;
  readonly cursor?: string;
}

/** Models that runs have logged: each with files among its run's artifacts, params, tags and metrics of its own. */
export interface LoggedModels {
  createLoggedModel(model: NewLoggedModel): Promise<LoggedModel>;
  /** NOT_FOUND for none, and for one that was deleted. */
  getLoggedModel(id: string): Promise<LoggedModel>;
  updateLoggedModel(id: string, change: LoggedModelChange): Promise<LoggedModel>;
  /** It is found no more; its files stay among the run's artifacts. */
  deleteLoggedModel(id: string): Promise<void>;
  /** One page. SYNTAX, with the position, for a filter that does not parse. */
  searchLoggedModels(
    search?: LoggedModelSearch,
  ): Promise<{ readonly models: readonly LoggedModel[]; readonly cursor?: string }>;
  /** Those that the runs made, and those that went into one: of 1,000 runs at most. */
  listLoggedModelsOf(runIds: readonly string[]): Promise<readonly LoggedModel[]>;
}

const searchShape = z.strictObject({
  experimentIds: z.array(z.string()).max(1_000).optional(),
  filter: z.string().optional(),
  orderBy: z.array(z.string()).optional(),
  limit: z.number().optional(),
  cursor: z.string().optional(),
} satisfies Record<keyof LoggedModelSearch, z.ZodType>);

/** Ids ascend with time. */
const newestFirst: readonly Order[] = [{ by: { from: 'column', name: 'id' }, direction: 'desc' }];
const kind = 'logged_model';

/** Logged models, bound to a scope. */
export function createLoggedModels(scope: Scope, records: Pick<RunRecords, 'get'>): LoggedModels {
  const { metadata, workspace } = scope;

  async function find(id: string): Promise<StoredRecord> {
    assertText(id, 'The id of a logged model');
    const record = await metadata.find(workspace, kind, id, { facets: loggedModelFacets });
    if (record?.columns['lifecycle'] === 'active') return record;
    throw new KeelsonError(
      'NOT_FOUND',
      `There is no logged model ${id.slice(0, 100)} in workspace ${workspace}.`,
      { details: { modelId: id } },
    );
  }

  return {
    async createLoggedModel(model) {
      checkOptions(newLoggedModel, model, 'A logged model');
      const { runId, params = {}, tags = {} } = model;
      await assertAllowed(scope, 'run.write', `run:${runId}`);
      const run = await records.get(runId);
      const id = `m-${scope.ids.next().replaceAll('-', '')}`;
      const columns = {
        experimentId: run.columns['experimentId'] as string,
        ...{ runId, sourceRunId: model.sourceRunId, name: model.name, modelType: model.modelType },
        ...{ status: 'PENDING', lifecycle: 'active', createdBy: scope.principal.id },
      };
      const facets = { params, tags };
      await commitChanges(scope, [{ op: 'create', kind, id, columns, facets }]);
      return loggedModelFromRecord(await find(id));
    },

    getLoggedModel: async (id) => loggedModelFromRecord(await find(id)),

    async updateLoggedModel(id, change) {
      checkOptions(loggedModelChange, change, 'A change of a logged model');
      const { columns } = await find(id);
      await assertAllowed(scope, 'run.write', `run:${columns['runId']}`);
      await decideAndCommit(scope, async () => ({
        changes: changed(await find(id), change),
        result: undefined,
      }));
      return loggedModelFromRecord(await find(id));
    },

    async deleteLoggedModel(id) {
      const { columns } = await find(id);
      await assertAllowed(scope, 'run.write', `run:${columns['runId']}`);
      await decideAndCommit(scope, async () => {
        const { revision: expect } = await find(id);
        const gone: Change = { op: 'replace', kind, id, expect, columns: { lifecycle: 'deleted' } };
        return { changes: [gone], result: undefined };
      });
    },

    async searchLoggedModels(search = {}) {
      checkOptions(searchShape, search, 'A search of logged models');
      const of: Predicate[] = [equal('lifecycle', 'active')];
      const { experimentIds: values, cursor: from } = search;
      if (values !== undefined) of.push({ op: 'in', left: column('experimentId'), values });
      const filter = parseFilter(search.filter ?? '', loggedModelVocabulary);
      const orderBy = search.orderBy?.map((text) => parseOrder(text, loggedModelVocabulary));
      const { records: found, cursor } = await metadata.query(workspace, kind, {
        where: { op: 'and', of: filter === undefined ? of : [...of, filter] },
        orderBy: orderBy ?? newestFirst,
        limit: search.limit ?? 50,
        facets: loggedModelFacets,
        ...(from === undefined ? {} : { cursor: from }),
      });
      const models = found.map(loggedModelFromRecord);
      return cursor === undefined ? { models } : { models, cursor };
    },

    async listLoggedModelsOf(runIds) {
      const ids = assertList(runIds, 'The runs of models').map((id) => assertText(id, 'A run id'));
      if (ids.length > 1_000) {
        const message = `Models are read of 1000 runs at once, not of ${ids.length}; ask in turns.`;
        throw new KeelsonError('INVALID', message);
      }
      const of: Predicate[] = [{ op: 'in', left: column('sourceRunId'), values: ids }];
      const [one] = ids;
      if (ids.length === 1 && one !== undefined) {
        for (const facet of ['inputOf', 'outputOf']) {
          of.push({ op: 'present', left: { from: 'facet', facet, key: one } });
        }
      }
      const where: Predicate = { op: 'and', of: [equal('lifecycle', 'active'), { op: 'or', of }] };
      const models: LoggedModel[] = [];
      if (one === undefined) return models;
      const all = everyRecord(scope, kind, { where, facets: loggedModelFacets });
      for await (const record of all) models.push(loggedModelFromRecord(record));
      return models;
    },
  };
}

function changed(record: StoredRecord, change: LoggedModelChange): readonly Change[] {
  const { id, revision: expect, body, columns } = record;
  const { tags = {}, params = {}, metrics = [], inputOf = [], outputOf = {} } = change;
  const next = {
    ...body,
    metrics: asJson(
      withMetrics((body['metrics'] ?? []) as unknown as LoggedModelMetric[], metrics),
    ),
  };
  const status = change.status ?? (columns['status'] as string);
  const set = Object.entries(tags).filter((tag): tag is [string, string] => tag[1] !== null);
  return [
    { op: 'replace', kind, id, expect, columns: { status }, body: next },
    {
      ...{ op: 'merge', kind, id },
      set: {
        tags: Object.fromEntries(set),
        params,
        metrics: Object.fromEntries(metrics.map(({ key, value }) => [key, value])),
        inputOf: Object.fromEntries(inputOf.map((runId) => [runId, true])),
        outputOf,
      },
      unset: { tags: Object.keys(tags).filter((key) => tags[key] === null) },
    },
  ];
}

/** The newest of each key, dataset and run. */
function withMetrics(
  there: readonly LoggedModelMetric[],
  more: readonly LoggedModelMetric[],
): readonly LoggedModelMetric[] {
  const all = new Map<string, LoggedModelMetric>();
  for (const metric of [...there, ...more]) {
    const { key, runId, datasetName, datasetDigest } = metric;
    all.set(JSON.stringify([key, runId, datasetName, datasetDigest]), metric);
  }
  return [...all.values()];
}

function column(name: string): { readonly from: 'column'; readonly name: string } {
  return { from: 'column', name };
}

function equal(name: string, value: string): Predicate {
  return { op: 'compare', left: column(name), cmp: '=', value };
}
