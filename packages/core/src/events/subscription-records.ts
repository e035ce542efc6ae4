import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { allRecords, columnIs, partitionsOf } from './event-records.ts';
import { parkedFromRecord, type WaitsFor } from './parked-subjects.ts';
import type { Replay } from './replays.ts';
import { partitionId, subscriptionId } from './subscription.ts';

/** How a subscription does. */
export interface SubscriptionView {
  readonly name: string;
  readonly types: readonly string[];
  readonly partitions: number;
  /** How long the oldest event that it has not come to has waited; 0 when there is none. */
  readonly lagMs: number;
  /** Subjects whose next event waits, those that were parked first in front. */
  readonly parked: readonly {
    readonly subject: string;
    readonly eventId: string | undefined;
    readonly waitsFor: WaitsFor;
    readonly attempts: number;
    /** Epoch ms; undefined while a person is waited for. */
    readonly nextAttemptAt: number | undefined;
    readonly error: string | undefined;
    /** The event that has to be handled before. */
    readonly blockedBy: string | undefined;
  }[];
  readonly deadLetters: number;
  /** Those that are running, and those that were asked for since. */
  readonly replays: readonly Replay[];
}

const kind = 'subscription';
/** Of a subscription, more parked subjects are not told of one by one. */
const mostParked = 1_000;

/** Makes the subscription if there is none, notes its types; answers how many partitions it has. */
export async function ensureSubscription(
  scope: Scope,
  name: string,
  options: {
    readonly types: readonly string[];
    readonly from?: 'now' | 'start';
    readonly partitions?: number;
  },
): Promise<number> {
  const { metadata, workspace, principal } = scope;
  const id = subscriptionId(name);
  for (;;) {
    const record = await metadata.find(workspace, kind, id);
    const known = (record?.body['types'] as readonly string[] | undefined) ?? [];
    // Processes of two versions may share it: what retention has to leave is what any of them sees.
    const types = [...new Set([...known, ...options.types])].sort();
    if (record !== undefined && types.length === known.length) return partitionsIn(record, options);
    const changes =
      record === undefined
        ? await creating(scope, name, { ...options, types })
        : [{ op: 'replace', kind, id, expect: record.revision, body: { types } } as const];
    try {
      await metadata.commit({ workspace, principal: principal.id, changes });
      if (record === undefined) return options.partitions ?? 8;
      return partitionsIn(record, options);
    } catch (error) {
      // Another process was first, and what it wrote is as good.
      if (!isKeelsonError(error, 'CONFLICT', 'STALE', 'NOT_FOUND')) throw error;
    }
  }
}

function partitionsIn(record: StoredRecord, options: { readonly partitions?: number }): number {
  const partitions = record.columns['partitions'] as number;
  if (options.partitions === undefined || options.partitions === partitions) return partitions;
  const name = String(record.columns['name']);
  throw new KeelsonError(
    'CONFLICT',
    `The subscription ${name} was made with ${partitions} partitions, not ${options.partitions}; leave \`partitions\` out, or subscribe under another name.`,
    { details: { subscription: name, partitions } },
  );
}

async function creating(
  { metadata }: Scope,
  name: string,
  options: {
    readonly types: readonly string[];
    readonly from?: 'now' | 'start';
    readonly partitions?: number;
  },
): Promise<readonly Change[]> {
  const { types, from = 'now', partitions = 8 } = options;
  const cursor = from === 'now' ? await metadata.latestEventCursor() : undefined;
  const own: Change = {
    op: 'create',
    kind,
    id: subscriptionId(name),
    columns: { name, partitions },
    body: { types: [...types] },
  };
  const parts = Array.from({ length: partitions }, (_, number): Change => {
    const columns = { subscription: name, number, cursor, dirty: false, careful: 0, crashes: 0 };
    const id = partitionId(name, number);
    return { op: 'create', kind: 'subscription_partition', id, columns };
  });
  return [own, ...parts];
}

/** The record of a subscription; NOT_FOUND when there is none. */
export async function findSubscription(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  name: string,
): Promise<StoredRecord> {
  const record = await metadata.find(workspace, kind, subscriptionId(name));
  if (record !== undefined) return record;
  throw new KeelsonError('NOT_FOUND', `There is no subscription ${name} in ${workspace}.`, {
    details: { subscription: name },
  });
}

/** Removes a subscription and all that it keeps but its receipts. NOT_FOUND when there is none. */
export async function removeSubscription(scope: Scope, name: string): Promise<void> {
  const { metadata, workspace, principal } = scope;
  const commit = (records: readonly StoredRecord[]): Promise<unknown> =>
    metadata.commit({
      workspace,
      principal: principal.id,
      changes: records.map(({ kind: of, id, revision }) => ({
        ...{ op: 'remove', kind: of, id },
        expect: revision,
      })) as Change[],
    });
  const mine = { where: columnIs('subscription', name) };
  for (let round = 0; ; round += 1) {
    const record = await findSubscription(scope, name);
    try {
      // Whoever works on it loses its claims with these.
      await commit([record, ...(await partitionsOf(scope, name))]);
      break;
    } catch (error) {
      if (!isKeelsonError(error, 'STALE', 'NOT_FOUND') || round > 50) throw error;
    }
  }
  for (const left of ['parked_subject', 'dead_letter', 'event_replay']) {
    const records = await allRecords(scope, left, mine);
    for (let start = 0; start < records.length; start += 500) {
      await commit(records.slice(start, start + 500));
    }
  }
}

/** The subscriptions of a workspace with their types, by name. */
export async function namedSubscriptions(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
): Promise<readonly Pick<SubscriptionView, 'name' | 'types' | 'partitions'>[]> {
  const orderBy = [{ by: { from: 'column', name: 'name' }, direction: 'asc' }] as const;
  const records = await allRecords(scope, kind, { orderBy });
  return records.map(({ columns, body }) => ({
    name: columns['name'] as string,
    types: body['types'] as readonly string[],
    partitions: columns['partitions'] as number,
  }));
}

/** How the subscriptions of a workspace do, by name. */
export async function viewSubscriptions(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'clock'>,
): Promise<readonly SubscriptionView[]> {
  const views: SubscriptionView[] = [];
  for (const named of await namedSubscriptions(scope)) views.push(await viewOf(scope, named));
  return views;
}

async function viewOf(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'clock'>,
  named: Pick<SubscriptionView, 'name' | 'types' | 'partitions'>,
): Promise<SubscriptionView> {
  const { metadata, workspace } = scope;
  const { name, types } = named;
  const where = columnIs('subscription', name);
  const oldestFirst = [{ by: { from: 'column', name: 'createdAt' }, direction: 'asc' }] as const;
  const parked = await metadata.query(workspace, 'parked_subject', {
    where,
    orderBy: oldestFirst,
    limit: mostParked,
  });
  const letters = await metadata.count(workspace, 'dead_letter', where, { exact: true });
  const replays = await allRecords(scope, 'event_replay', { where, orderBy: oldestFirst });
  return {
    ...named,
    lagMs: await lagOf(scope, name, types),
    parked: parked.records.map((one) => {
      const { subject, eventId, waitsFor, attempts, dueAt, error, blockedBy } =
        parkedFromRecord(one);
      const nextAttemptAt = waitsFor === 'PERSON' ? undefined : dueAt;
      return { subject, eventId, waitsFor, attempts, nextAttemptAt, error, blockedBy };
    }),
    deadLetters: letters.count,
    replays: replays.map(({ id, columns }) => ({
      id,
      subscription: name,
      state: columns['state'] as Replay['state'],
      handled: columns['handled'] as number,
      failed: columns['failed'] as number,
    })),
  };
}

/** How long the oldest event that a subscription has not come to has waited, in ms. */
export async function lagOf(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'clock'>,
  name: string,
  types: readonly string[],
): Promise<number> {
  const { metadata, workspace, clock } = scope;
  let oldest: number | undefined;
  const partitions = await partitionsOf(scope, name);
  for (const { columns } of partitions) {
    const after = columns['cursor'] as string | undefined;
    const partition = { of: partitions.length, index: columns['number'] as number };
    const { events } = await metadata.readEvents({
      workspace,
      filter: { types, partition },
      limit: 1,
      ...(after === undefined ? {} : { after }),
    });
    const at = events[0]?.at;
    if (at !== undefined) oldest = Math.min(oldest ?? at, at);
  }
  return oldest === undefined ? 0 : Math.max(0, clock.now() - oldest);
}
