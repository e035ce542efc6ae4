import type { EventFilter, StoredEvent } from '../contracts/event.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { rest } from '../rest.ts';

const pageSize = 500;
const pollMs = 5_000;
const pauseMs = 1_000;

/** The event of an id; NOT_FOUND when there is none. */
export async function getEvent(scope: Scope, id: string): Promise<StoredEvent> {
  const filter = { ids: [assertText(id, 'An event id')] };
  const { workspace } = scope;
  const { events } = await scope.metadata.readEvents({ workspace, filter, limit: 1 });
  const [event] = events;
  if (event !== undefined) return event;
  throw new KeelsonError('NOT_FOUND', `There is no event ${id} in workspace ${workspace}.`, {
    details: { event: id },
  });
}

/** Events that match, oldest first, page after page. */
export async function* eachEvent(scope: Scope, filter: EventFilter): AsyncIterable<StoredEvent> {
  let after: string | undefined;
  for (;;) {
    const batch = await readPage(scope, filter, { after });
    yield* batch.events;
    if (batch.events.length < pageSize) return;
    after = batch.cursor;
  }
}

/**
 * Events from this call on, until the signal is aborted or the store is closed. A store that cannot be
 * read for a while delays them.
 */
export function followEvents(
  scope: Scope,
  filter: EventFilter,
  signal: AbortSignal,
  after?: string,
): AsyncIterable<StoredEvent> {
  // Now, and not when the first event is asked for: what comes in between counts.
  const start = after === undefined ? scope.metadata.latestEventCursor() : Promise.resolve(after);
  // Whoever iterates gets it; whoever does not must not bring the process down.
  start.catch(() => undefined);
  return follow(scope, filter, signal, start);
}

async function* follow(
  scope: Scope,
  filter: EventFilter,
  signal: AbortSignal,
  start: Promise<string>,
): AsyncIterable<StoredEvent> {
  let after = await start;
  while (!signal.aborted) {
    try {
      await scope.metadata.waitForEvents(after, { timeoutMs: pollMs, signal });
      const batch = await readPage(scope, filter, { after });
      yield* batch.events;
      after = batch.cursor;
    } catch (error) {
      if (signal.aborted || isKeelsonError(error, 'CLOSED')) return;
      if (isKeelsonError(error, 'INVALID')) throw error;
      const fields = { component: 'events', error };
      scope.logger.warn(fields, 'Events could not be read; trying again.');
      await rest(pauseMs, signal);
    }
  }
}

/** One page of events that match, and where to go on: also where the filter has passed nothing. */
export function readPage(
  { metadata, workspace }: Scope,
  filter: EventFilter,
  { after, limit = pageSize }: { readonly after?: string | undefined; readonly limit?: number },
): ReturnType<Scope['metadata']['readEvents']> {
  const from = after === undefined ? {} : { after };
  return metadata.readEvents({ workspace, filter, limit, ...from });
}
