import type { StoredEvent } from '../contracts/event.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { storableText } from '../json.ts';
import { withCorrelation } from './correlation.ts';
import { draftEvent } from './draft-event.ts';
import { allRecords, columnIs } from './event-records.ts';
import { deadLetterId, subscriptionId } from './subscription.ts';

/** An event that a subscription could not handle. */
export interface DeadLetter {
  readonly id: string;
  readonly subscription: string;
  readonly eventId: string;
  readonly type: string;
  readonly subject: string;
  readonly attempts: number;
  readonly error: string;
  /** `REPLAYING` from when somebody has asked for it until it was handled or given up again. */
  readonly state: 'GIVEN_UP' | 'REPLAYING';
  /** Whether later events of its subject wait for it. */
  readonly held: boolean;
}

/** Which dead letters: all of a subscription, or those of the ids (of letters, or of their events). */
export interface DeadLetterChoice {
  readonly subscription: string;
  readonly ids?: readonly string[];
}

const kind = 'dead_letter';
const told = 'event.dead-lettered';
/** Emitted when somebody asks a subscription to replay: whoever handles its events looks then. */
export const replayRequested = 'event.replay-requested';

/** What is written of a thrown error. */
export function errorText(error: unknown): string {
  return storableText(error instanceof Error ? error.message : String(error), 2000);
}

/** The changes that make a dead letter of an event, or tell that a replayed one failed again. */
export async function burying(
  scope: Scope,
  subscription: string,
  event: StoredEvent,
  end: { readonly attempts: number; readonly error: unknown; readonly held: boolean },
): Promise<readonly Change[]> {
  const { attempts, error, held } = end;
  const { id: eventId, type, subject, correlationId } = event;
  const fields = { component: 'events', subscription, event: eventId, subject, correlationId };
  scope.logger.error({ ...fields, attempts, error }, 'An event became a dead letter.');
  const id = deadLetterId(subscription, eventId);
  const said = errorText(error);
  const record = await scope.metadata.find(scope.workspace, kind, id);
  const columns = { attempts, state: 'GIVEN_UP', held };
  const fixed = { subscription, eventId, type, subject };
  const letter: Change =
    record === undefined
      ? { op: 'create', kind, id, columns: { ...fixed, ...columns }, body: { error: said } }
      : { op: 'replace', kind, id, expect: record.revision, columns, body: { error: said } };
  // A subscription to dead letters that fails shall not feed itself.
  if (type === told) return [letter];
  const payload = { subscription, eventId, error: said };
  const subjectOf = subscriptionId(subscription);
  const draft = withCorrelation({ correlationId, causationId: eventId }, () =>
    draftEvent(scope, {
      type: 'event.dead-lettered',
      subject: subjectOf,
      source: 'events',
      payload,
    }),
  );
  return [letter, { op: 'emit', event: draft }];
}

/** Those of a subscription, or all, oldest first. */
export async function listDeadLetters(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  subscription?: string,
): Promise<readonly DeadLetter[]> {
  const records = await allRecords(scope, kind, {
    orderBy: [{ by: { from: 'column', name: 'createdAt' }, direction: 'asc' }],
    ...(subscription === undefined ? {} : { where: columnIs('subscription', subscription) }),
  });
  return records.map(deadLetterFromRecord);
}

/** Has dead letters handed over again; answers how many. */
export function replayLetters(scope: Scope, choice: DeadLetterChoice): Promise<number> {
  return changeLetters(scope, choice, ({ id, revision, columns }) =>
    columns['state'] === 'REPLAYING'
      ? undefined
      : { op: 'replace', kind, id, expect: revision, columns: { state: 'REPLAYING' } },
  );
}

/** Forgets dead letters; answers how many. */
export function dropLetters(scope: Scope, choice: DeadLetterChoice): Promise<number> {
  return changeLetters(scope, choice, ({ id, revision }) => ({
    op: 'remove',
    kind,
    id,
    expect: revision,
  }));
}

async function changeLetters(
  scope: Scope,
  choice: DeadLetterChoice,
  change: (record: StoredRecord) => Change | undefined,
): Promise<number> {
  const { metadata, workspace, principal } = scope;
  let count = 0;
  let left = [...(await chosen(scope, choice))];
  for (let round = 0; left.length > 0; round += 1) {
    const batch = left.slice(0, 200);
    const changes = batch.map(change).filter((one) => one !== undefined);
    if (changes.length === 0) {
      left = left.slice(batch.length);
      continue;
    }
    const emit = { op: 'emit', event: requestOf(scope, choice.subscription) } as const;
    try {
      await metadata.commit({ workspace, principal: principal.id, changes: [...changes, emit] });
    } catch (error) {
      // One of them has changed meanwhile: looked at again, a few times.
      if (!isKeelsonError(error, 'STALE', 'NOT_FOUND') || round > 20) throw error;
      const fresh = await metadata.findMany(
        workspace,
        kind,
        left.map(({ id }) => id),
      );
      left = [...fresh];
      continue;
    }
    count += changes.length;
    left = left.slice(batch.length);
  }
  return count;
}

/** The event that says that something of a subscription is to be replayed. */
export function requestOf(scope: Scope, subscription: string): ReturnType<typeof draftEvent> {
  return draftEvent(scope, {
    type: 'event.replay-requested',
    subject: subscriptionId(subscription),
    source: 'events',
    payload: { subscription },
  });
}

async function chosen(
  scope: Scope,
  { subscription, ids }: DeadLetterChoice,
): Promise<readonly StoredRecord[]> {
  const mine = columnIs('subscription', subscription);
  if (ids === undefined) return allRecords(scope, kind, { where: mine });
  const found: StoredRecord[] = [];
  for (let start = 0; start < ids.length; start += 500) {
    const some = ids.slice(start, start + 500).map((id) => eventOf(subscription, id));
    const left = { from: 'column', name: 'eventId' } as const;
    const where: Predicate = { op: 'and', of: [mine, { op: 'in', left, values: some }] };
    const records = await allRecords(scope, kind, { where });
    const there = new Set(records.map(({ columns }) => columns['eventId']));
    const missing = some.find((id) => !there.has(id));
    if (missing !== undefined) {
      throw new KeelsonError('NOT_FOUND', `${subscription} has no dead letter of ${missing}.`, {
        details: { subscription, event: missing },
      });
    }
    found.push(...records);
  }
  return found;
}

function eventOf(subscription: string, id: string): string {
  const prefix = deadLetterId(subscription, '');
  return id.startsWith(prefix) ? id.slice(prefix.length) : id;
}

function deadLetterFromRecord(record: StoredRecord): DeadLetter {
  const { columns } = record;
  return {
    id: record.id,
    subscription: columns['subscription'] as string,
    eventId: columns['eventId'] as string,
    type: columns['type'] as string,
    subject: columns['subject'] as string,
    attempts: columns['attempts'] as number,
    error: record.body['error'] as string,
    state: columns['state'] as DeadLetter['state'],
    held: columns['held'] as boolean,
  };
}
