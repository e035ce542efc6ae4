import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';
import { hasNoRecord, lineagePrefixes } from './lineage-edges.ts';
import { findVersion } from './model-records.ts';
import type { ModelVersion } from './model-version.ts';
import { resolveVersion } from './version-reference.ts';

/**
 * The nodes that a text means: an id of any node; `model@1.4.0`, `model@champion`; the digest of a dataset (all that
 * have it) or of what a step took or put out. One that means nothing here is taken as an id.
 */
export async function lineageStart(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  given: string,
): Promise<readonly string[]> {
  assertText(given, 'The id of a node of the lineage', 1000);
  if (hasNoRecord(given) || given.startsWith('dataset-')) return [given];
  const at = given.lastIndexOf('@');
  if (at > 0) {
    const version = await versionNamed(scope, given, at);
    if (version !== undefined) return [version.id];
  }
  const known = await dataWith(scope, given);
  return known.length === 0 ? [given] : known;
}

/** A version by its semver, a deleted one too; or by whatever else a reference may say. */
async function versionNamed(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  reference: string,
  at: number,
): Promise<ModelVersion | undefined> {
  const bySemver = await findVersion(scope, reference.slice(0, at), reference.slice(at + 1));
  if (bySemver !== undefined) return bySemver;
  try {
    return await resolveVersion(scope, reference);
  } catch (error) {
    if (isKeelsonError(error, 'NOT_FOUND') || isKeelsonError(error, 'INVALID')) return undefined;
    throw error;
  }
}

/** The ids of the datasets with a digest. */
async function datasetsWith(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  digest: string,
): Promise<readonly string[]> {
  const where = columnIs('digest', digest);
  const found = everyRecord(scope, 'dataset', { where, limit: 1000 });
  return (await Array.fromAsync(found)).map(({ id }) => id);
}

/** The same, and the content itself where a step took it or put it out. */
export async function dataWith(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  digest: string,
): Promise<readonly string[]> {
  const datasets = await datasetsWith(scope, digest);
  if (!/^[0-9a-f]{64}$/.test(digest)) return datasets;
  const id = `${lineagePrefixes.artifact}${digest}`;
  for (const end of ['from', 'to']) {
    const where = columnIs(end, id);
    const { records } = await scope.metadata.query(scope.workspace, 'edge', { where, limit: 1 });
    if (records.length > 0) return [...datasets, id];
  }
  return datasets;
}
