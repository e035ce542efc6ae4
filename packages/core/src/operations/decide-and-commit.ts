import { setTimeout as rest } from 'node:timers/promises';
import type { Change, CommitResult } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { currentCorrelation } from '../events/correlation.ts';
import { commitExpected } from './expected-revision.ts';
import type { Permission } from './permissions.ts';

/** What a decision wants written, and what to answer once it is. */
export interface Decision<T> {
  readonly changes: readonly Change[];
  readonly result: T | ((commit: CommitResult) => T);
  /** Why; kept in the history. */
  readonly reason?: string;
}

const attempts = 30;

/**
 * Read, decide, write: runs `decide` (which reads what it needs and answers with changes), commits,
 * and on STALE begins again, with jitter, up to 30 times; then the STALE is the caller's. A decision
 * without changes commits nothing.
 */
export async function decideAndCommit<T>(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'principal'>,
  decide: () => Promise<Decision<T>>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const decision = await decide();
    try {
      const commit = await commitChanges(scope, decision.changes, decision.reason);
      return typeof decision.result === 'function'
        ? (decision.result as (commit: CommitResult) => T)(commit)
        : decision.result;
    } catch (error) {
      if (!isKeelsonError(error, 'STALE') || attempt === attempts) throw error;
      await jitter(attempt);
    }
  }
}

/** Commits under the correlation in force; a commit of nothing touches no store. */
export async function commitChanges(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'principal'>,
  changes: readonly Change[],
  reason?: string,
): Promise<CommitResult> {
  if (changes.length === 0) return { at: 0, revisions: [] };
  const correlationId = currentCorrelation()?.correlationId;
  return commitExpected(scope, changes, (all) =>
    scope.metadata.commit({
      workspace: scope.workspace,
      principal: scope.principal.id,
      changes: all,
      ...(reason === undefined ? {} : { reason }),
      ...(correlationId === undefined ? {} : { correlationId }),
    }),
  );
}

/** Rejects with FORBIDDEN, saying why, unless the scope's principal may do `action` on `resource`. */
export async function assertAllowed(
  scope: Pick<Scope, 'authorizer' | 'workspace' | 'principal'>,
  action: Permission,
  resource: string,
): Promise<void> {
  const { principal, workspace } = scope;
  const verdict = await scope.authorizer.authorize({ principal, workspace, action, resource });
  if (!verdict.allowed) {
    throw new KeelsonError(
      'FORBIDDEN',
      `${principal.id} may not ${action} ${resource}: ${verdict.reason}.`,
      { details: { principal: principal.id, action, resource } },
    );
  }
}

/** The names of the roles that the scope's principal has on the resource: those granted, where they are kept. */
export async function rolesFor(
  scope: Pick<Scope, 'authorizer' | 'workspace' | 'principal'>,
  resource: string,
): Promise<readonly string[]> {
  const { principal, workspace, authorizer } = scope;
  return (await authorizer.roles?.({ principal, workspace, resource })) ?? principal.roles;
}

/** A short rest before somebody who lost a race tries again, the longer the oftener: 50 ms at most. */
export async function jitter(attempt: number): Promise<void> {
  await rest(Math.random() * Math.min(50, 2 * attempt));
}
