import type { Scope } from '../contracts/scope.ts';
import { draftEvent } from '../events/draft-event.ts';
import type { PayloadOf } from '../events/typed-event.ts';
import type { AccessNotes } from './access-authorizer.ts';
import { commitChanges } from './decide-and-commit.ts';

const minuteMs = 60_000;
const perPrincipal = 20;
const perProcess = 200;

type NotingScope = Pick<Scope, 'metadata' | 'clock' | 'ids' | 'logger'>;

/**
 * Writes refusals and uses of delegations as events, beside the calls: 20 a minute for a principal and 200
 * for the process, so that nobody fills the store by asking; what was left out is counted in the next.
 */
export function createAccessNotes(scope: NotingScope): AccessNotes & { settle(): Promise<void> } {
  const written = new Map<string, number>();
  const leftOut = new Map<string, number>();
  let last: Promise<void> = Promise.resolve();
  let minute = Number.NaN;
  let total = 0;

  /** How many of the principal's were left out before this one; undefined when it is left out too. */
  function admit(principal: string): number | undefined {
    const now = Math.floor(scope.clock.now() / minuteMs);
    if (now !== minute) {
      minute = now;
      total = 0;
      written.clear();
    }
    const own = written.get(principal) ?? 0;
    if (own >= perPrincipal || total >= perProcess) {
      // Names may be made up: what is counted for each is bounded too.
      const name = leftOut.size < perProcess || leftOut.has(principal) ? principal : '';
      leftOut.set(name, (leftOut.get(name) ?? 0) + 1);
      return undefined;
    }
    written.set(principal, own + 1);
    total += 1;
    const before = leftOut.get(principal) ?? 0;
    leftOut.delete(principal);
    return before;
  }

  function emitNote<T extends 'access.refused' | 'access.delegation_used'>(
    type: T,
    request: Parameters<AccessNotes['refused']>[0],
    facts: Partial<PayloadOf<T>>,
  ): void {
    const { principal, workspace, action, resource } = request;
    const before = admit(principal.id);
    if (before === undefined) return;
    const payload = {
      principal: principal.id,
      action,
      resource: resource.slice(0, 1000).toWellFormed().replaceAll('\u0000', '\uFFFD'),
      ...(principal.credential === undefined ? {} : { credential: principal.credential }),
      ...(before === 0 ? {} : { leftOut: before }),
      ...facts,
    } as unknown as PayloadOf<T>;
    const event = draftEvent(
      { ...scope, principal },
      { type, subject: `principal:${principal.id}`, source: 'operations', payload },
    );
    // One after another, in the order in which they were refused.
    last = last.then(async () => {
      try {
        await commitChanges({ ...scope, workspace, principal }, [{ op: 'emit', event }]);
      } catch (error) {
        const fields = { component: 'operations', principal: principal.id, action, error };
        scope.logger.warn(fields, `${type} of ${principal.id} (${action}) could not be kept.`);
      }
    });
  }

  return {
    refused: (request, reason) => emitNote('access.refused', request, { reason }),
    delegationUsed: (request, { id, delegatedBy }) =>
      emitNote('access.delegation_used', request, { grantId: id, delegatedBy: delegatedBy ?? '' }),
    settle: () => last,
  };
}
