import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';

/** Kinds of analyses that are kept: by what one is the newest of its kind, and what says that it has found something. */
const kinds = [
  { kind: 'drift_analysis', series: 'seriesKey', finding: 'detected' },
  { kind: 'analysis', series: 'deploymentId', finding: 'changed' },
] as const;
const removedAtOnce = 400;

/**
 * Removes analyses of a deployment that are older than `calm`, and those that have found something once they are older than
 * `all` (both in epoch ms); answers how many. The newest of each series stays: the next one goes on from it.
 */
export async function dropAnalyses(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'principal'>,
  deploymentId: string,
  before: { readonly calm: number; readonly all: number },
  signal: AbortSignal,
): Promise<number> {
  let dropped = 0;
  for (const each of kinds) {
    const going = await oldOnes(scope, deploymentId, each, before, signal);
    for (let from = 0; from < going.length; from += removedAtOnce) {
      signal.throwIfAborted();
      const some = going.slice(from, from + removedAtOnce);
      try {
        await commitChanges(
          scope,
          some.map(({ id, expect }) => ({ op: 'remove', kind: each.kind, id, expect })),
        );
        dropped += some.length;
      } catch (error) {
        // Another process was faster: what is left goes the next time.
        if (!isKeelsonError(error, 'STALE')) throw error;
      }
    }
  }
  return dropped;
}

async function oldOnes(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  deploymentId: string,
  { kind, series, finding }: (typeof kinds)[number],
  { calm, all }: { readonly calm: number; readonly all: number },
  signal: AbortSignal,
): Promise<readonly { readonly id: string; readonly expect: number }[]> {
  const at = { from: 'column', name: 'at' } as const;
  const isOld: Predicate = { op: 'compare', left: at, cmp: '<', value: calm };
  const where: Predicate = { op: 'and', of: [columnIs('deploymentId', deploymentId), isOld] };
  const newest = new Map<string, string | undefined>();
  const going: { id: string; expect: number }[] = [];
  for await (const { id, columns, revision } of everyRecord(scope, kind, {
    ...{ where, body: false, signal },
  })) {
    if (columns[finding] === true && (columns['at'] as number) >= all) continue;
    const key = columns[series] as string;
    if (!newest.has(key)) {
      const { records } = await scope.metadata.query(scope.workspace, kind, {
        ...{ where: columnIs(series, key), limit: 1, body: false },
        orderBy: [{ by: at, direction: 'desc' }],
      });
      newest.set(key, records[0]?.id);
    }
    if (newest.get(key) !== id) going.push({ id, expect: revision });
  }
  return going;
}
