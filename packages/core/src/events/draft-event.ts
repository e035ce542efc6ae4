import type { EventDraft } from '../contracts/event.ts';
import type { Scope } from '../contracts/scope.ts';
import type { JsonObject } from '../json.ts';
import { currentCorrelation } from './correlation.ts';

/** An event of this moment, by this scope's principal, under the correlation in force. */
export function draftEvent(
  scope: Pick<Scope, 'clock' | 'ids' | 'principal'>,
  event: {
    readonly type: string;
    readonly subject: string;
    readonly source: string;
    readonly payload: JsonObject;
  },
): EventDraft {
  const correlation = currentCorrelation();
  const id = scope.ids.next();
  return {
    ...event,
    id,
    at: scope.clock.now(),
    schemaVersion: 1,
    correlationId: correlation?.correlationId ?? id,
    ...(correlation?.causationId === undefined ? {} : { causationId: correlation.causationId }),
    principal: scope.principal.id,
  };
}
