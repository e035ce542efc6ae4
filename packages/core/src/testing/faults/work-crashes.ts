import type { MetadataStore } from '../../contracts/metadata-store.ts';
import type { MetadataStoreHarness } from '../metadata/scene.ts';
import type { OpenHarness } from '../suite.ts';
import { withCrashPoints } from './crash-points.ts';
import type { CrashScenario } from './every-crash.ts';
import { type Handled, Worker, type WorkLeft, workInvariants, workKinds } from './work-scenario.ts';

const tasks = 4;

/** One crash's world: a store of its own, and what was handed over. */
interface WorkWorld extends WorkLeft, AsyncDisposable {
  readonly harness: MetadataStoreHarness;
  readonly log: Handled[];
  /** Lets a lease run out. */
  elapse(): Promise<void>;
}

/**
 * The work scenario, crashed in this process at each of its points, on any MetadataStore: once with
 * stalls longer than a lease, once with shorter ones. `wrap` puts something between the workers and their
 * points, a mutant say; what is checked at the end is the store itself.
 */
export function workCrashes(
  openHarness: OpenHarness<MetadataStoreHarness>,
  wrap: (store: MetadataStore) => MetadataStore = (store) => store,
): readonly CrashScenario<WorkWorld>[] {
  const scenario: Omit<CrashScenario<WorkWorld>, 'name'> = {
    open: () => openWorld(openHarness),
    async attempt({ harness, log }, points) {
      await using store = await harness.openSecond();
      await workOn(wrap(withCrashPoints(store, points)), log, leaseOf(harness));
    },
    async recover({ harness, log, elapse }) {
      await using store = await harness.openSecond();
      await elapse();
      await workOn(wrap(store), log, leaseOf(harness));
    },
    invariants: workInvariants,
    // The first, and one amid the work.
    hits: 2,
  };
  return [
    {
      ...scenario,
      name: 'a worker that crashes, or stands still longer than its lease',
      meanwhile: scenario.recover,
    },
    {
      ...scenario,
      name: 'a worker that stands still for a moment',
      kinds: ['stall'],
      async meanwhile({ harness, log }) {
        await using store = await harness.openSecond();
        await workOn(wrap(store), log, leaseOf(harness));
      },
    },
  ];
}

async function workOn(store: MetadataStore, log: Handled[], leaseMs: number): Promise<void> {
  const worker = new Worker({
    ...{ store, tasks, leaseMs },
    effects: { append: (effect) => log.push(effect) },
  });
  await worker.fill();
  while (await worker.work());
  while (await worker.deliver());
}

function leaseOf(harness: MetadataStoreHarness): number {
  return harness.clock === undefined ? 300 : 30_000;
}

async function openWorld(openHarness: OpenHarness<MetadataStoreHarness>): Promise<WorkWorld> {
  const harness = await openHarness();
  const store = await harness.open(workKinds);
  const log: Handled[] = [];
  return {
    ...{ harness, store, tasks, log },
    handled: () => log,
    async elapse() {
      const ms = leaseOf(harness) + 1;
      if (harness.clock !== undefined) return await harness.clock.advance(ms);
      const until = (await store.now()) + ms;
      while ((await store.now()) < until) await new Promise((resolve) => setTimeout(resolve, 20));
    },
    [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose](),
  };
}
