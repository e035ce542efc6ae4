import type { MetadataStore } from '../src/contracts/metadata-store.ts';
import { withCrashPoints } from '../src/testing/faults/crash-points.ts';
import type { CrashScenario } from '../src/testing/faults/every-crash.ts';
import type { MetadataStoreHarness } from '../src/testing/metadata/scene.ts';
import {
  emitThings,
  fillTallies,
  type HandedOver,
  type HandedOverLeft,
  subscribersOn,
  subscriptionInvariants,
  subscriptionScenarioKinds,
} from './subscription-scenario.ts';

type ClockedHarness = MetadataStoreHarness & Required<Pick<MetadataStoreHarness, 'clock'>>;

interface SubscriptionWorld extends HandedOverLeft, AsyncDisposable {
  readonly harness: ClockedHarness;
  readonly log: HandedOver[];
}

const extent = { events: 6, subjects: 2, subscriptions: ['one'] };
const leaseMs = 15_000;

/**
 * A subscription of a few events, one of which fails at first, crashed everywhere in this process. `wrap`
 * puts something between the subscription and its points, a mutant say.
 */
export function subscriptionCrashes(
  open: () => ClockedHarness,
  wrap: (store: MetadataStore) => MetadataStore = (store) => store,
): CrashScenario<SubscriptionWorld> {
  const recover = async ({ harness, log }: SubscriptionWorld): Promise<void> => {
    await harness.clock.advance(leaseMs + 1);
    await using store = await harness.openSecond();
    await handle(wrap(store), log, 'second');
  };
  return {
    name: 'a subscription whose handler fails once',
    async open() {
      const harness = open();
      const store = await harness.open(subscriptionScenarioKinds);
      const log: HandedOver[] = [];
      await fillTallies(store, extent);
      await emitThings(store, extent, 0, extent.events);
      return {
        ...{ harness, store, extent, log },
        handed: () => log,
        [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose](),
      };
    },
    async attempt({ harness, log }, points) {
      await using store = await harness.openSecond();
      await handle(wrap(withCrashPoints(store, points)), log, 'first');
    },
    recover,
    meanwhile: recover,
    invariants: subscriptionInvariants,
  };
}

async function handle(store: MetadataStore, log: HandedOver[], self: string): Promise<void> {
  const failed = new Set<string>();
  const events = await subscribersOn(store, extent, {
    owners: { self, dead: () => [] },
    // No timer decides which commits there are.
    timing: { leaseMs, noteMs: 60_000 },
    // In one order, so that each run comes by the same points.
    options: { partitions: 1, concurrency: 1 },
    append: (effect) => log.push(effect),
    before({ subject, sequence, event }) {
      if (subject !== 'thing:1' || sequence !== 2 || failed.has(event)) return;
      failed.add(event);
      throw new Error('not yet');
    },
  });
  await events.deliver();
  for (const loop of events.loops) await loop.drain?.();
}
