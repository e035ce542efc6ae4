import { assertList } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertText, type JsonObject } from '../json.ts';
import { everyRecord } from '../operations/every-record.ts';
import { assertDataset, type DatasetInput, datasetId } from './dataset.ts';
import { optional } from './run.ts';
import type { RunRecords } from './run-records.ts';

/** A dataset that went into a run. */
export interface RunDataset extends DatasetInput {
  /** Its id in the lineage: one for each name and digest. */
  readonly id: string;
}

/** Reads the datasets of runs. */
export interface Datasets {
  /** What went into the run, by name, then role; NOT_FOUND for no such run. */
  listDatasets(runId: string): Promise<readonly RunDataset[]>;
  /** Those of several runs at once, by their ids; none for a run that has none. At most 1,000 runs. */
  listDatasetsOf(runIds: readonly string[]): Promise<ReadonlyMap<string, readonly RunDataset[]>>;
}

/** Links datasets to runs. */
export interface DatasetLog {
  /** Answers the dataset's id. What was first said about a name and digest stays. */
  logDataset(runId: string, dataset: DatasetInput): Promise<string>;
}

/** Datasets of runs, bound to a scope. */
export function createDatasets(
  scope: Scope,
  records: Pick<RunRecords, 'get' | 'whileLoggable'>,
): Datasets & DatasetLog {
  const { metadata, workspace } = scope;

  async function logDataset(runId: string, input: DatasetInput): Promise<string> {
    const dataset = assertDataset(input);
    const { name, digest, rowCount, sourceUri, role } = dataset;
    const id = datasetId(name, digest);
    const columns = { name, digest, rowCount, sourceUri };
    const body = { ...optional('schema', dataset.schema), ...optional('profile', dataset.profile) };
    const edge = { op: 'create', kind: 'edge', id: scope.ids.next() } as const;
    const changes: Change[] = [
      { op: 'create', kind: 'dataset', id, columns, body },
      {
        ...edge,
        columns: { from: id, to: runId, role },
        body: optional('context', dataset.context),
      },
    ];
    for (const change of changes) {
      await once(records.whileLoggable(runId, `dataset ${name}`, () => [change]));
    }
    return id;
  }

  async function datasetsOf(runIds: readonly string[]): Promise<Map<string, RunDataset[]>> {
    const edges = new Map<string, StoredRecord>();
    for (let i = 0; i < runIds.length; i += 1000) {
      const values = runIds.slice(i, i + 1000);
      const where: Predicate = { op: 'in', left: { from: 'column', name: 'to' }, values };
      for await (const edge of everyRecord(scope, 'edge', { where })) edges.set(edge.id, edge);
    }
    const froms = [...new Set([...edges.values()].map(({ columns }) => columns['from'] as string))];
    const byId = new Map<string, StoredRecord>();
    for (let i = 0; i < froms.length; i += 1000) {
      const found = await metadata.findMany(workspace, 'dataset', froms.slice(i, i + 1000));
      for (const record of found) byId.set(record.id, record);
    }
    const all = new Map<string, RunDataset[]>();
    for (const { columns, body } of edges.values()) {
      const record = byId.get(columns['from'] as string);
      if (record === undefined) continue;
      const dataset = datasetFromRecord(record, columns['role'] as DatasetInput['role']);
      const context = optional('context', body['context'] as string | undefined);
      const of = all.get(columns['to'] as string) ?? [];
      all.set(columns['to'] as string, [...of, { ...dataset, ...context }]);
    }
    for (const of of all.values()) {
      of.sort((a, b) => order(a.name, b.name) || order(a.role, b.role));
    }
    return all;
  }

  return {
    logDataset,

    async listDatasets(runId) {
      await records.get(runId);
      return (await datasetsOf([runId])).get(runId) ?? [];
    },

    async listDatasetsOf(runIds) {
      const ids = assertList(runIds, 'The runs of datasets').map((id) =>
        assertText(id, 'A run id'),
      );
      if (ids.length <= 1000) return datasetsOf(ids);
      const message = `Datasets are read of 1000 runs at once, not of ${ids.length}; ask in turns.`;
      throw new KeelsonError('INVALID', message);
    },
  };
}

function datasetFromRecord(record: StoredRecord, role: DatasetInput['role']): RunDataset {
  const { columns, body } = record;
  return {
    id: record.id,
    name: columns['name'] as string,
    digest: columns['digest'] as string,
    role,
    ...optional('rowCount', columns['rowCount'] as number | undefined),
    ...optional('sourceUri', columns['sourceUri'] as string | undefined),
    ...optional('schema', body['schema'] as JsonObject | undefined),
    ...optional('profile', body['profile'] as JsonObject | undefined),
  };
}

/** The same dataset, or the same edge, may be there already; an ended run stays a CONFLICT. */
async function once(written: Promise<void>): Promise<void> {
  try {
    await written;
  } catch (error) {
    const taken =
      isKeelsonError(error, 'CONFLICT') &&
      ['dataset', 'edge'].includes(String(error.details['kind']));
    if (!taken) throw error;
  }
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
