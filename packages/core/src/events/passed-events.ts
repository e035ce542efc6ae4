import type { StoredEvent } from '../contracts/event.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { allRecords, columnIn, columnIs, partitionsOf } from './event-records.ts';

type Reader = Pick<Scope, 'metadata' | 'workspace'>;

/**
 * Those of the events (at most 1,000) that every subscription of the workspace which sees their type has
 * passed, and that no dead letter names: nobody misses them in the log. `waitingFor` are the subscriptions
 * for which others stay.
 */
export async function passedByAll(
  scope: Reader,
  events: readonly StoredEvent[],
): Promise<{ readonly passed: readonly StoredEvent[]; readonly waitingFor: readonly string[] }> {
  const waiting = new Set<string>();
  const waitingFor = new Set<string>();
  const stays = (eventId: string, subscription: string): void => {
    waiting.add(eventId);
    waitingFor.add(subscription);
  };
  const left = columnIn(
    'eventId',
    events.map(({ id }) => id),
  );
  for (const { columns } of await allRecords(scope, 'dead_letter', { where: left })) {
    stays(columns['eventId'] as string, columns['subscription'] as string);
  }
  for (const { columns, body } of await allRecords(scope, 'subscription')) {
    const name = columns['name'] as string;
    const types = body['types'] as readonly string[];
    const seen = events.filter(({ type }) => types.includes(type));
    for (const id of await aheadOf(scope, name, seen)) stays(id, name);
  }
  return {
    passed: events.filter(({ id }) => !waiting.has(id)),
    waitingFor: [...waitingFor].sort(),
  };
}

/** Those of the events that a subscription may still have to read. */
async function aheadOf(
  scope: Reader,
  subscription: string,
  events: readonly StoredEvent[],
): Promise<readonly string[]> {
  if (events.length === 0) return [];
  const ids = events.map(({ id }) => id);
  const mine = columnIs('subscription', subscription);
  const running = { op: 'and', of: [mine, columnIs('state', 'RUNNING')] } as const;
  // A replay reads what it was asked for, wherever that is.
  if ((await allRecords(scope, 'event_replay', { where: running })).length > 0) return ids;
  const ahead: string[] = [];
  const partitions = await partitionsOf(scope, subscription);
  for (const partition of partitions) {
    ahead.push(...(await aheadIn(scope, partition, partitions.length, ids)));
  }
  const parked = await allRecords(scope, 'parked_subject', { where: mine });
  const subjects = new Set(parked.map(({ columns }) => columns['subject']));
  ahead.push(...events.filter(({ subject }) => subjects.has(subject)).map(({ id }) => id));
  return ahead;
}

async function aheadIn(
  { metadata, workspace }: Reader,
  partition: StoredRecord,
  of: number,
  ids: readonly string[],
): Promise<readonly string[]> {
  const after = partition.columns['cursor'] as string | undefined;
  const index = partition.columns['number'] as number;
  const { events } = await metadata.readEvents({
    workspace,
    filter: { ids, partition: { of, index } },
    limit: 1000,
    ...(after === undefined ? {} : { after }),
  });
  return events.map(({ id }) => id);
}
