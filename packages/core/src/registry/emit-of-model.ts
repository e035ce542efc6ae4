import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import type { RegistryEventPayloads } from '../events/catalogue/registry-events.ts';
import { draftEvent } from '../events/draft-event.ts';
import type { PayloadOf } from '../events/typed-event.ts';

/** An event of a model, for the commit that makes it true. */
export function emitOfModel<T extends keyof RegistryEventPayloads>(
  scope: Pick<Scope, 'clock' | 'ids' | 'principal'>,
  type: T,
  model: string,
  payload: Omit<PayloadOf<T>, 'name'>,
): Change {
  const event = {
    type,
    subject: `model:${model}`,
    source: 'registry',
    payload: { name: model, ...payload } as unknown as PayloadOf<T>,
  };
  return { op: 'emit', event: draftEvent(scope, event) };
}
