import type { Change } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import { lineagePrefixes } from '../../registry/lineage-edges.ts';
import type { EdgeChange } from './step-edges.ts';

/** So many edges go with the commit of a step; those beyond are there before it. */
const edgesInCommit = 50;

const chunk = 400;
const tries = 10;

/**
 * Edges for a commit of a step: those of `wanted` that are not there. With `fresh` none can be there, and nothing
 * is read. Of more than 50, those behind are written at once: whoever sees the step's commit sees all of them.
 */
export async function newEdges(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'principal'>,
  wanted: readonly EdgeChange[],
  fresh: boolean,
): Promise<readonly Change[]> {
  if (fresh && wanted.length <= edgesInCommit) return wanted;
  for (let attempt = 1; ; attempt += 1) {
    const missing = await notThere(scope, wanted);
    try {
      const before = missing.slice(edgesInCommit);
      for (let at = 0; at < before.length; at += chunk) {
        await commitChanges(scope, before.slice(at, at + chunk));
      }
      return missing.slice(0, edgesInCommit);
    } catch (error) {
      // A process that was taken for dead writes the same: look again.
      if (!isKeelsonError(error, 'CONFLICT') || attempt === tries) throw error;
    }
  }
}

async function notThere(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  wanted: readonly EdgeChange[],
): Promise<readonly EdgeChange[]> {
  const known = new Set<string>();
  for (let at = 0; at < wanted.length; at += 1000) {
    const ids = wanted.slice(at, at + 1000).map(({ id }) => id);
    for (const { id } of await metadata.findMany(workspace, 'edge', ids)) known.add(id);
  }
  return wanted.filter(({ id }) => !known.has(id));
}

/** SHA-256 of what a step was given when its attempts began. */
export async function contentsTaken(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  stepExecution: string,
): Promise<readonly string[]> {
  const { artifact } = lineagePrefixes;
  const contents: string[] = [];
  for await (const { columns } of everyRecord(scope, 'edge', {
    where: columnIs('to', stepExecution),
  })) {
    const from = String(columns['from']);
    if (from.startsWith(artifact)) contents.push(from.slice(artifact.length));
  }
  return contents;
}
