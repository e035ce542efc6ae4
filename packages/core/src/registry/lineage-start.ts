import type { Scope } from '../contracts/scope.ts';
import { assertText } from '../json.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';
import { lineagePrefixes } from './lineage-edges.ts';
import { findVersion } from './model-records.ts';

const prefixes = [...Object.values(lineagePrefixes), 'dataset-'];

/**
 * The nodes that a text means: an id of any node; `model@1.4.0`; the digest of a dataset (all that have
 * it). One that means nothing here is taken as an id.
 */
export async function lineageStart(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  given: string,
): Promise<readonly string[]> {
  assertText(given, 'The id of a node of the lineage', 1000);
  if (prefixes.some((prefix) => given.startsWith(prefix))) return [given];
  const at = given.lastIndexOf('@');
  if (at > 0) {
    const version = await findVersion(scope, given.slice(0, at), given.slice(at + 1));
    if (version !== undefined) return [version.id];
  }
  const known = await datasetsWith(scope, given);
  return known.length === 0 ? [given] : known;
}

/** The ids of the datasets with a digest. */
export async function datasetsWith(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  digest: string,
): Promise<readonly string[]> {
  const where = columnIs('digest', digest);
  const found = everyRecord(scope, 'dataset', { where, limit: 1000 });
  return (await Array.fromAsync(found)).map(({ id }) => id);
}
