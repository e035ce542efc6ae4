import type { Change } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
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
  /** What went into the run, by name, then role; at most 1,000. NOT_FOUND for no such run. */
  listDatasets(runId: string): Promise<readonly RunDataset[]>;
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
      { ...edge, columns: { from: id, to: runId, role } },
    ];
    for (const change of changes) {
      await once(records.whileLoggable(runId, `dataset ${name}`, () => [change]));
    }
    return id;
  }

  return {
    logDataset,

    async listDatasets(runId) {
      await records.get(runId);
      const to: Predicate = {
        op: 'compare',
        left: { from: 'column', name: 'to' },
        cmp: '=',
        value: runId,
      };
      const edges = await metadata.query(workspace, 'edge', { where: to, limit: 1000 });
      const roles = edges.records.map(({ columns }) => ({
        id: columns['from'] as string,
        role: columns['role'] as DatasetInput['role'],
      }));
      const ids = [...new Set(roles.map(({ id }) => id))];
      const found = await metadata.findMany(workspace, 'dataset', ids);
      const byId = new Map(found.map((record) => [record.id, record]));
      const all = roles.flatMap(({ id, role }) => {
        const record = byId.get(id);
        return record === undefined ? [] : [datasetFromRecord(record, role)];
      });
      return all.sort((a, b) => order(a.name, b.name) || order(a.role, b.role));
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
