import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { draftEvent } from '../events/draft-event.ts';
import type { JsonObject } from '../json.ts';

/** The change that tells of a run. */
export function emitOfRun(
  scope: Pick<Scope, 'clock' | 'ids' | 'principal'>,
  runId: string,
  type: string,
  payload: JsonObject,
): Change {
  const event = {
    type,
    subject: `run:${runId}`,
    source: 'tracking',
    payload: { runId, ...payload },
  };
  return { op: 'emit', event: draftEvent(scope, event) };
}
