import { eventKinds } from '../src/contracts/kinds/event-kinds.ts';
import type { Change, MetadataStore } from '../src/contracts/metadata-store.ts';
import type { KindDeclaration, StoredRecord } from '../src/contracts/record.ts';
import type { Scope } from '../src/contracts/scope.ts';
import { draftEvent } from '../src/events/draft-event.ts';
import { createEvents, type Events, type SubscribeOptions } from '../src/events/events.ts';
import type { Owners, SubscriptionTiming } from '../src/events/subscription.ts';
import type { Invariant } from '../src/testing/faults/invariants.ts';
import { uuidV7 } from '../src/uuid.ts';

/** What the scenario of subscriptions keeps: a tally for each subscription and subject. */
export const subscriptionScenarioKinds: readonly KindDeclaration[] = [
  ...eventKinds,
  { name: 'tally', columns: { count: { type: 'integer' } }, history: 'none' },
];

const workspace = 'default';
const type = 'thing.done';

/** An event that was handed to a subscription, as it stands in the log of effects. */
export interface HandedOver {
  readonly subscription: string;
  readonly event: string;
  readonly subject: string;
  readonly sequence: number;
}

/** How much there is, for whom. */
export interface Extent {
  readonly events: number;
  readonly subjects: number;
  readonly subscriptions: readonly string[];
}

const subjectOf = ({ subjects }: Extent, n: number): string => `thing:${n % subjects}`;
const tallyOf = (subscription: string, subject: string): string => `${subscription} ${subject}`;

/** A tally for each subscription and subject; made before anything is emitted. */
export async function fillTallies(store: MetadataStore, extent: Extent): Promise<void> {
  const changes = extent.subscriptions.flatMap((subscription) =>
    Array.from({ length: Math.min(extent.subjects, extent.events) }, (_, n): Change => {
      const id = tallyOf(subscription, subjectOf(extent, n));
      return { op: 'create', kind: 'tally', id, columns: { count: 0 } };
    }),
  );
  for (let at = 0; at < changes.length; at += 400) {
    await store.commit({ workspace, principal: 'p', changes: changes.slice(at, at + 400) });
  }
}

/** Emits the events from `from` on, `count` of them at most; answers the number of the next. */
export async function emitThings(
  store: MetadataStore,
  extent: Extent,
  from: number,
  count: number,
): Promise<number> {
  const scope = scopeOn(store);
  const end = Math.min(extent.events, from + count);
  const changes = Array.from({ length: end - from }, (_, i): Change => {
    const subject = subjectOf(extent, from + i);
    const payload = { n: from + i };
    return { op: 'emit', event: draftEvent(scope, { type, subject, source: 'test', payload }) };
  });
  if (changes.length > 0) await store.commit({ workspace, principal: 'p', changes });
  return end;
}

/** Events on a store, with the subscriptions of the extent: each effect once, by a receipt. */
export async function subscribersOn(
  store: MetadataStore,
  extent: Extent,
  parts: {
    readonly owners: Owners;
    readonly timing: SubscriptionTiming;
    readonly options?: Partial<SubscribeOptions>;
    append(effect: HandedOver): void;
    /** Before the effect: may reject. */
    before?(effect: HandedOver): Promise<void> | void;
  },
): Promise<Events> {
  const events = createEvents(scopeOn(store), parts.owners, undefined, parts.timing);
  for (const subscription of extent.subscriptions) {
    const options = { types: [type], from: 'start', ...parts.options } as const;
    await events.subscribe(subscription, options, async (event, { receipt }) => {
      const { id, subject, subjectSequence: sequence } = event;
      const effect = { subscription, event: id, subject, sequence };
      parts.append(effect);
      await parts.before?.(effect);
      await store.commit({
        workspace,
        principal: 'p',
        changes: [
          receipt(),
          ...([{ op: 'adjust', kind: 'tally', column: 'count', by: 1 }] as const).map((change) => ({
            ...change,
            id: tallyOf(subscription, subject),
          })),
        ],
      });
    });
  }
  return events;
}

/** What is left when nothing crashes any more. */
export interface HandedOverLeft {
  readonly store: MetadataStore;
  readonly extent: Extent;
  handed(): readonly HandedOver[];
}

/** Whether every event has had its effect in every subscription. */
export async function allHaveEffects({
  store,
  extent,
}: Pick<HandedOverLeft, 'store' | 'extent'>): Promise<boolean> {
  const { count } = await store.count(workspace, 'receipt', undefined, { exact: true });
  return count >= extent.events * extent.subscriptions.length;
}

/** What must hold of subscriptions however often their processes were crashed. */
export const subscriptionInvariants: readonly Invariant<HandedOverLeft>[] = [
  {
    name: 'each event was handed to each subscription',
    violations({ extent, handed }) {
      const all = new Set(handed().map(({ subscription, event }) => `${subscription} ${event}`));
      const due = extent.events * extent.subscriptions.length;
      return all.size === due ? [] : [`${all.size} were handed over of ${due}`];
    },
  },
  {
    name: 'each event has its effect exactly once in each subscription',
    async violations({ store, extent }) {
      const tallies = await allOf(store, 'tally');
      const due = new Map<string, number>();
      for (let n = 0; n < extent.events; n += 1) {
        for (const subscription of extent.subscriptions) {
          const id = tallyOf(subscription, subjectOf(extent, n));
          due.set(id, (due.get(id) ?? 0) + 1);
        }
      }
      return tallies
        .filter(({ id, columns }) => columns['count'] !== (due.get(id) ?? 0))
        .map(({ id, columns }) => `${id} has ${columns['count']} effects of ${due.get(id)} events`);
    },
  },
  {
    name: 'the events of a subject are handed over in order, none left out',
    violations({ handed }) {
      const last = new Map<string, number>();
      return handed().flatMap(({ subscription, subject, sequence }) => {
        const key = tallyOf(subscription, subject);
        const before = last.get(key) ?? 0;
        last.set(key, Math.max(before, sequence));
        // What was handed over before may come again.
        return sequence <= before + 1 ? [] : [`${key}: ${sequence} after ${before}`];
      });
    },
  },
  {
    name: 'nothing is given up, and nothing stays parked',
    async violations({ store }) {
      const letters = await allOf(store, 'dead_letter');
      const parked = await allOf(store, 'parked_subject');
      return [...letters, ...parked].map(({ id, body }) => `${id}: ${JSON.stringify(body)}`);
    },
  },
];

async function allOf(store: MetadataStore, kind: string): Promise<readonly StoredRecord[]> {
  const all: StoredRecord[] = [];
  for (let after: string | undefined; ; ) {
    const from = after === undefined ? {} : { cursor: after };
    const { records, cursor } = await store.query(workspace, kind, { limit: 1000, ...from });
    all.push(...records);
    if (cursor === undefined) return all;
    after = cursor;
  }
}

/** A scope that has records and events alone. */
export function scopeOn(metadata: MetadataStore): Scope {
  const none = (): never => {
    throw new Error('Events need no more than records.');
  };
  const quiet = (): void => undefined;
  return {
    workspace,
    metadata,
    principal: { id: 'user:test', roles: [] },
    get series() {
      return none();
    },
    get artifacts() {
      return none();
    },
    artifactUri: none,
    clock: { now: () => Date.now() },
    ids: { next: () => uuidV7() },
    logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    authorizer: { authorize: async () => ({ allowed: true, reason: 'a test' }) },
  };
}
