import type { EventDraft } from '../contracts/event.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { redact } from '../redaction.ts';
import { activeSpan, rememberSpan } from './active-trace.ts';
import { currentCorrelation } from './correlation.ts';
import { findDefinition } from './event-catalogue.ts';
import { type PayloadOf, problemOf } from './typed-event.ts';

/** What is said of an event; of types that are not the platform's, with the version of the payload. */
export interface SaidEvent<T extends string> {
  readonly type: T;
  readonly subject: string;
  readonly source: string;
  readonly payload: PayloadOf<T>;
  readonly schemaVersion?: number;
}

/**
 * An event of this moment, by this scope's principal, under the correlation in force. INVALID, naming the
 * field, for a payload that the catalogue does not know so.
 */
export function draftEvent<T extends string>(
  scope: Pick<Scope, 'clock' | 'ids' | 'principal'>,
  event: SaidEvent<T>,
): EventDraft {
  const correlation = currentCorrelation();
  const id = scope.ids.next();
  const span = activeSpan();
  if (span !== undefined) rememberSpan(id, span);
  return {
    ...event,
    payload: redact(event.payload as JsonObject),
    id,
    at: scope.clock.now(),
    schemaVersion: event.schemaVersion ?? checkedVersion(event.type, event.payload),
    correlationId: correlation?.correlationId ?? id,
    ...(correlation?.causationId === undefined ? {} : { causationId: correlation.causationId }),
    principal: scope.principal.id,
  };
}

function checkedVersion(type: string, payload: unknown): number {
  const definition = findDefinition(type);
  if (definition === undefined) return 1;
  const problem = problemOf(definition.emitted.safeParse(payload));
  if (problem === undefined) return definition.schemaVersion;
  throw new KeelsonError('INVALID', `An event ${type} cannot be emitted so: ${problem}.`, {
    details: { type, problem },
  });
}
