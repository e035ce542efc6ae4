import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { suffixedPath } from './artifact-path.ts';

/** Where content goes: it is there already, or under a path, maybe in another's place. */
export type ArtifactPlace =
  | { readonly found: StoredRecord }
  | { readonly path: string; readonly replaces?: StoredRecord };

const facets = ['metadata'] as const;

/** Finds the artifact that lives under a path of a run. */
export async function findLiveArtifact(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  runId: string,
  path: string,
): Promise<StoredRecord | undefined> {
  const where: Predicate = { op: 'and', of: [equal('runId', runId), equal('livePath', path)] };
  const query = { where, limit: 1, facets };
  return (await scope.metadata.query(scope.workspace, 'artifact', query)).records[0];
}

/**
 * Where content of a digest goes when `wanted` was asked for. Equal content under the path, or under
 * one of its suffixed forms, is what is answered; otherwise a taken path gets a suffix, the newest
 * content, or a CONFLICT.
 */
export async function findPlace(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  wanted: {
    readonly runId: string;
    readonly path: string;
    readonly sha256: string;
    readonly onConflict: 'suffix' | 'error' | 'replace';
  },
): Promise<ArtifactPlace> {
  const { runId, path, sha256, onConflict } = wanted;
  const there = await findLiveArtifact(scope, runId, path);
  if (there === undefined) return { path };
  if (there.columns['sha256'] === sha256) return { found: there };
  if (onConflict === 'replace') return { path, replaces: there };
  if (onConflict === 'error') {
    throw new KeelsonError(
      'CONFLICT',
      `Run ${runId} already has an artifact ${path} with other content (${String(there.columns['sha256'])}).`,
      { details: { runId, path } },
    );
  }
  const same = await findSuffixed(scope, wanted);
  return same === undefined ? { path: await freePath(scope, runId, path) } : { found: same };
}

/** Equal content that an earlier call stored under a suffixed form of the path. */
async function findSuffixed(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  {
    runId,
    path,
    sha256,
  }: { readonly runId: string; readonly path: string; readonly sha256: string },
): Promise<StoredRecord | undefined> {
  const live: Predicate = { op: 'present', left: { from: 'column', name: 'livePath' } };
  const where: Predicate = {
    op: 'and',
    of: [equal('sha256', sha256), equal('runId', runId), live],
  };
  const query = { where, limit: 1000, facets };
  const { records } = await scope.metadata.query(scope.workspace, 'artifact', query);
  return records.find((record) => isSuffixOf(String(record.columns['livePath']), path));
}

function isSuffixOf(candidate: string, path: string): boolean {
  const number = /-(\d+)(\.[^./]*)?$/.exec(candidate)?.[1];
  return number !== undefined && suffixedPath(path, Number(number)) === candidate;
}

/** A suffixed form that is free, found in logarithmically many looks: the first one behind the taken. */
async function freePath(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  runId: string,
  path: string,
): Promise<string> {
  const isTaken = async (n: number): Promise<boolean> =>
    (await findLiveArtifact(scope, runId, suffixedPath(path, n))) !== undefined;
  let taken = 0;
  let free = 1;
  while (await isTaken(free)) {
    taken = free;
    free *= 2;
  }
  while (free - taken > 1) {
    const middle = Math.floor((taken + free) / 2);
    if (await isTaken(middle)) taken = middle;
    else free = middle;
  }
  return suffixedPath(path, free);
}

function equal(name: string, value: string): Predicate {
  return { op: 'compare', left: { from: 'column', name }, cmp: '=', value };
}
