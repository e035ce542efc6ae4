import type { StoredEvent } from '../contracts/event.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import { parkedId } from './subscription.ts';

/** What a parked subject waits for. */
export type WaitsFor =
  /** Its next attempt. */
  | 'RETRY'
  /** A handler that runs for long. */
  | 'HANDLER'
  /** An event that caused its next one, and which the subscription has yet to handle. */
  | 'CAUSE'
  /** The same, where that one waits for a person. */
  | 'HELD_CAUSE'
  /** A person who decides about a dead letter. */
  | 'PERSON';

const kind = 'parked_subject';

/** A subject whose next event waits, while other subjects go on. */
export interface ParkedSubject {
  readonly subscription: string;
  readonly partition: number;
  readonly subject: string;
  /** Undefined until it is stored. */
  revision: number | undefined;
  /** Everything of the subject up to it is done. */
  after: string | undefined;
  waitsFor: WaitsFor;
  /** The event that waits. */
  eventId: string | undefined;
  attempts: number;
  /** Epoch ms. */
  dueAt: number;
  error: string | undefined;
  blockedBy: string | undefined;
  /** Events that were read, oldest first, of those behind `after`. */
  events: StoredEvent[];
  /** Whether the partition has met an event of the subject since its events were last read. */
  hasMore: boolean;
}

/** A subject that is parked from now on; `after` is in front of its next event. */
export function newParked(
  of: Pick<ParkedSubject, 'subscription' | 'partition' | 'subject' | 'after'>,
): ParkedSubject {
  return {
    ...of,
    revision: undefined,
    waitsFor: 'HANDLER',
    eventId: undefined,
    attempts: 0,
    dueAt: 0,
    error: undefined,
    blockedBy: undefined,
    events: [],
    hasMore: true,
  };
}

/** The change that stores it as it is. */
export function keepingChange(parked: ParkedSubject): Change {
  const { subscription, partition, subject, revision, error, blockedBy } = parked;
  const { after, waitsFor, eventId, attempts, dueAt } = parked;
  const id = parkedId(subscription, subject);
  const columns = { after, waitsFor, eventId, attempts, dueAt };
  const body = {
    ...(error === undefined ? {} : { error }),
    ...(blockedBy === undefined ? {} : { blockedBy }),
  };
  if (revision !== undefined) return { op: 'replace', kind, id, expect: revision, columns, body };
  return {
    op: 'create',
    kind,
    id,
    columns: { subscription, partition, subject, ...columns },
    body,
  };
}

/** The change that removes its record. */
export function freeingChange({ subscription, subject, revision }: ParkedSubject): Change {
  return { op: 'remove', kind, id: parkedId(subscription, subject), expect: revision as number };
}

/** As it was stored. */
export function parkedFromRecord({ revision, columns, body }: StoredRecord): ParkedSubject {
  return {
    subscription: columns['subscription'] as string,
    partition: columns['partition'] as number,
    subject: columns['subject'] as string,
    revision,
    after: columns['after'] as string | undefined,
    waitsFor: columns['waitsFor'] as WaitsFor,
    eventId: columns['eventId'] as string | undefined,
    attempts: columns['attempts'] as number,
    dueAt: columns['dueAt'] as number,
    error: body['error'] as string | undefined,
    blockedBy: body['blockedBy'] as string | undefined,
    events: [],
    hasMore: false,
  };
}
