import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import type { TrackingEventPayloads } from '../events/catalogue/tracking-events.ts';
import { draftEvent } from '../events/draft-event.ts';
import type { PayloadOf } from '../events/typed-event.ts';

/** The change that tells of a run. */
export function emitOfRun<T extends keyof TrackingEventPayloads>(
  scope: Pick<Scope, 'clock' | 'ids' | 'principal'>,
  runId: string,
  type: T,
  payload: Omit<PayloadOf<T>, 'runId'>,
): Change {
  const event = {
    type,
    subject: `run:${runId}`,
    source: 'tracking',
    payload: { runId, ...payload } as unknown as PayloadOf<T>,
  };
  return { op: 'emit', event: draftEvent(scope, event) };
}
