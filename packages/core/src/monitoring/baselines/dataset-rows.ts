import type { Predicate } from '../../contracts/query.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { assertAllowed } from '../../operations/decide-and-commit.ts';
import { columnIs } from '../../operations/every-record.ts';
import { readRows } from '../../pipelines/data-validation/row-reader.ts';
import { StepArtifact } from '../../pipelines/step-artifact.ts';
import { StepError } from '../../pipelines/step-policy.ts';
import { type ModelVersion, modelVersionFromRecord } from '../../registry/model-version.ts';
import { Reservoir } from '../../statistics/index.ts';

type Rows = readonly Readonly<Record<string, unknown>>[];

/** More rows are sampled to so many, each with the same chance. */
const maxRows = 200_000;

type DatasetScope = Pick<
  Scope,
  'metadata' | 'workspace' | 'artifacts' | 'authorizer' | 'principal'
>;

/** Rows of a dataset, and the artifact that they lie in. */
export interface DatasetRows {
  readonly artifactId: string;
  /** A random sample of so many where there are more than 200,000. */
  readonly rows: Rows;
  /** The version's inputs by its signature, as predictions have them; missing where it does not name any. */
  readonly features?: readonly string[];
}

/**
 * The rows of an artifact of a run: JSON lines, CSV or a JSON array. NOT_FOUND where there is none of that id, INVALID for
 * what is no table.
 */
export async function rowsOfArtifact(scope: DatasetScope, artifactId: string): Promise<Rows> {
  const record = await scope.metadata.find(scope.workspace, 'artifact', artifactId);
  if (record === undefined)
    throw new KeelsonError('NOT_FOUND', `There is no artifact ${artifactId}.`);
  await assertAllowed(scope, 'tracking.read', `run:${String(record.columns['runId'])}`);
  return await rowsIn(scope, record);
}

/**
 * What a version was trained on, by its lineage: the content of a dataset of role `train` (of the version or of its run)
 * that was logged as an artifact, else the only dataset among the artifacts of its run. Undefined where nothing of that
 * is there.
 */
export async function trainingRows(
  scope: DatasetScope,
  versionId: string,
): Promise<DatasetRows | undefined> {
  const found = await scope.metadata.find(scope.workspace, 'model_version', versionId);
  if (found === undefined) return undefined;
  const version = modelVersionFromRecord(found);
  const record = await trainingArtifact(scope, version);
  if (record === undefined) return undefined;
  const rows = await rowsIn(scope, record);
  const known = new Set(rows.slice(0, 1000).flatMap((row) => Object.keys(row)));
  const features = inputNames(version).filter((name) => known.has(name));
  return { artifactId: record.id, rows, ...(features.length === 0 ? {} : { features }) };
}

/** The names of what a version takes, as predictions have them; none where its signature does not tell. */
export async function versionInputs(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  versionId: string,
): Promise<readonly string[]> {
  const found = await metadata.find(workspace, 'model_version', versionId);
  return found === undefined ? [] : inputNames(modelVersionFromRecord(found));
}

async function trainingArtifact(
  scope: DatasetScope,
  { lineage }: ModelVersion,
): Promise<StoredRecord | undefined> {
  const { metadata, workspace } = scope;
  const { sourceRunId, datasets = [] } = lineage;
  const digests = datasets.filter(({ role }) => role === 'train').map(({ digest }) => digest);
  if (sourceRunId !== undefined) digests.push(...(await trainingDigests(scope, sourceRunId)));
  for (const digest of digests) {
    const where = columnIs('sha256', digest);
    const { records } = await metadata.query(workspace, 'artifact', { where, limit: 1 });
    if (records[0] !== undefined) return records[0];
  }
  if (sourceRunId === undefined) return undefined;
  const where: Predicate = {
    op: 'and',
    of: [columnIs('runId', sourceRunId), { op: 'present', left: column('livePath') }],
  };
  const { records } = await metadata.query(workspace, 'artifact', { where, limit: 1000 });
  const data = records.filter(({ columns }) => columns['type'] === 'DATASET');
  const training = data.filter(({ columns }) => /train/i.test(String(columns['path'])));
  const candidates = training.length > 0 ? training : data;
  return candidates.length === 1 ? candidates[0] : undefined;
}

function inputNames({ signature }: ModelVersion): readonly string[] {
  const tensors = (signature?.inputs ?? []).flatMap(({ name, columns = [name] }) => columns);
  const columns = (signature?.inputColumns ?? []).flatMap(({ name }) => name ?? []);
  return tensors.length > 0 ? tensors : columns;
}

async function trainingDigests(
  { metadata, workspace }: DatasetScope,
  runId: string,
): Promise<readonly string[]> {
  const where: Predicate = { op: 'and', of: [columnIs('to', runId), columnIs('role', 'train')] };
  const edges = await metadata.query(workspace, 'edge', { where, limit: 100 });
  const ids = edges.records.map(({ columns }) => String(columns['from']));
  const datasets = await metadata.findMany(workspace, 'dataset', [...new Set(ids)]);
  return datasets.map(({ columns }) => String(columns['digest']));
}

async function rowsIn(scope: DatasetScope, { columns, id }: StoredRecord): Promise<Rows> {
  const path = String(columns['path']);
  const artifact = new StepArtifact(
    {
      ...{ name: path, path, mimeType: String(columns['mimeType']) },
      ...{ sha256: String(columns['sha256']), sizeBytes: Number(columns['sizeBytes']) },
    },
    scope.artifacts,
  );
  const kept = new Reservoir<Readonly<Record<string, unknown>>>(maxRows, id);
  const { signal } = new AbortController();
  try {
    const batches = readRows(artifact, 'The dataset', {
      missing: ['', 'NA', 'NaN', 'null'],
      signal,
    });
    for await (const batch of batches) {
      for (const each of batch) if ('row' in each) kept.add(each.row);
    }
  } catch (cause) {
    if (!(cause instanceof StepError)) throw cause;
    throw new KeelsonError('INVALID', `${path} is no table: ${cause.message}`, { cause });
  }
  return kept.values;
}

function column(name: string): { readonly from: 'column'; readonly name: string } {
  return { from: 'column', name };
}
