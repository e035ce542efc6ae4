import { runEveryCrash } from '../packages/core/src/testing/faults/every-crash.ts';
import { BrokenInvariants } from '../packages/core/src/testing/faults/invariants.ts';
import { mutants } from '../packages/core/src/testing/faults/mutants.ts';
import { workCrashes } from '../packages/core/src/testing/faults/work-crashes.ts';
import { storyOps, tellStories } from '../packages/core/src/testing/model/stories.ts';
import { registryCrashes } from '../packages/core/test/registry-crashes.ts';
import { rolloutCrashes } from '../packages/core/test/rollout-crashes.ts';
import { sagaCrashes } from '../packages/core/test/saga-crashes.ts';
import { SqliteMetadataHarness } from '../packages/core/test/sqlite-metadata-harness.ts';
import { subscriptionCrashes } from '../packages/core/test/subscription-crashes.ts';
import type { FaultScenario } from './scenario.ts';

/** Scenarios that are crashed at every point. */
export const crashScenarios: readonly FaultScenario[] = [
  {
    name: 'work-crashes',
    sentence: 'Tasks, events and receipts, crashed at every point × {throw, unknown, stall}.',
    async run({ store, extent, tell }) {
      const faults = { throw: 0, unknown: 0, stall: 0 };
      let invariants = 0;
      for (const scenario of workCrashes(() => store.harness())) {
        tell(scenario.name);
        const { byKind } = await runEveryCrash({ ...scenario, hits: extent === 'long' ? 2 : 1 });
        for (const kind of ['throw', 'unknown', 'stall'] as const) faults[kind] += byKind[kind];
        invariants = scenario.invariants.length;
      }
      return { faults, invariants };
    },
  },
  {
    name: 'event-crashes',
    sentence:
      'A subscription whose handler fails once, crashed at every point × {throw, unknown, stall}.',
    async run({ store, extent, tell }) {
      tell('a subscription is crashed');
      const scenario = subscriptionCrashes(() => store.harness());
      const { byKind } = await runEveryCrash({ ...scenario, hits: extent === 'long' ? 3 : 1 });
      const { throw: thrown, unknown, stall } = byKind;
      return { faults: { throw: thrown, unknown, stall }, invariants: scenario.invariants.length };
    },
  },
  {
    name: 'saga-crashes',
    sentence:
      'A saga, forward and back, crashed at every point × {exit (SQLite), throw, unknown, stall}.',
    async run({ store, extent, tell }) {
      const faults = { exit: 0, throw: 0, unknown: 0, stall: 0 };
      let invariants = 0;
      for (const refused of [false, true]) {
        tell(`a saga ${refused ? 'back' : 'forward'}`);
        const hits = extent === 'long' ? 3 : 1;
        const runs = [runEveryCrash({ ...sagaCrashes(() => store.harness(), { refused }), hits })];
        if (store.name === 'sqlite') runs.push(killed(refused, hits));
        for (const { byKind } of await Promise.all(runs)) {
          for (const kind of ['exit', 'throw', 'unknown', 'stall'] as const) {
            faults[kind] += byKind[kind];
          }
        }
        invariants = 2;
      }
      return { faults, invariants };
    },
  },
  {
    name: 'rollout-crashes',
    sentence:
      'A canary to its end, one that is turned back and watched, and the same of a promotion to Production, crashed at every point × {throw, unknown, stall}.',
    async run({ store, extent, tell }) {
      const faults = { throw: 0, unknown: 0, stall: 0 };
      let invariants = 0;
      const kinds = [
        { bad: false },
        { bad: true },
        { bad: false, promoted: true },
        { bad: true, promoted: true },
      ];
      for (const kind of extent === 'long' ? kinds : [kinds[0], kinds[3]]) {
        const scenario = rolloutCrashes(() => store.harness(), kind ?? { bad: false });
        tell(scenario.name);
        const { byKind } = await runEveryCrash({ ...scenario, hits: extent === 'long' ? 8 : 1 });
        for (const kind of ['throw', 'unknown', 'stall'] as const) faults[kind] += byKind[kind];
        invariants = scenario.invariants.length;
      }
      return { faults, invariants };
    },
  },
  {
    name: 'registry-crashes',
    sentence:
      'Registrations, approvals and promotions with an effect, crashed at every point × {exit (SQLite), throw, unknown, stall}.',
    async run({ store, extent, tell }) {
      const faults = { exit: 0, throw: 0, unknown: 0, stall: 0 };
      let invariants = 0;
      for (const refused of extent === 'long' ? [false, true] : [true]) {
        tell(refused ? 'a promotion that is refused' : 'promotions');
        const hits = extent === 'long' ? 3 : 1;
        const scenario = registryCrashes(() => store.harness(), { refused });
        const runs = [runEveryCrash({ ...scenario, hits })];
        if (store.name === 'sqlite') runs.push(promotionsKilled(refused, hits));
        for (const { byKind } of await Promise.all(runs)) {
          for (const kind of ['exit', 'throw', 'unknown', 'stall'] as const) {
            faults[kind] += byKind[kind];
          }
        }
        invariants = scenario.invariants.length;
      }
      return { faults, invariants };
    },
  },
  {
    name: 'stories',
    sentence: 'Random stories: the store answers as the reference store does, step by step.',
    async run({ store, extent, seed, tell }) {
      tell('stories are told');
      const runs = extent === 'long' ? 600 : 20;
      const passed = await tellStories(() => store.harness(), { seed, runs });
      const rare = storyOps.filter((op) => (passed.get(op) ?? 0) === 0);
      if (rare.length > 0) throw new Error(`No commit passed with ${rare.join(', ')}.`);
      return { faults: { stories: runs }, invariants: 1 };
    },
  },
  {
    name: 'mutants',
    sentence: 'Stores that break a promise each: the work scenario must fail with every one.',
    async run({ store, tell }) {
      let caught = 0;
      for (const mutant of mutants) {
        tell(mutant.name);
        if (!(await isCaught(() => store.harness(), mutant))) {
          throw new Error(`A store with "${mutant.name}" was not noticed.`);
        }
        caught += 1;
      }
      return { faults: { 'mutants caught': caught }, invariants: 0 };
    },
  },
];

function killed(refused: boolean, hits: number): ReturnType<typeof runEveryCrash> {
  const scenario = sagaCrashes(() => new SqliteMetadataHarness(), {
    refused,
    process: {
      program: new URL('../packages/core/test/children/order-once.ts', import.meta.url),
      argument: ({ path, now }, input) => ({ path, now, input }),
    },
  });
  return runEveryCrash({ ...scenario, kinds: ['exit'], hits });
}

function promotionsKilled(refused: boolean, hits: number): ReturnType<typeof runEveryCrash> {
  const scenario = registryCrashes(() => new SqliteMetadataHarness(), {
    refused,
    process: {
      program: new URL('../packages/core/test/children/promote-once.ts', import.meta.url),
      argument: ({ path, now }, input) => ({ path, now, input: { ...input } }),
    },
  });
  return runEveryCrash({ ...scenario, kinds: ['exit'], hits });
}

async function isCaught(
  harness: Parameters<typeof workCrashes>[0],
  { wrap }: (typeof mutants)[number],
): Promise<boolean> {
  for (const scenario of workCrashes(harness, wrap).toReversed()) {
    try {
      await runEveryCrash(scenario);
    } catch (error) {
      if (!(error instanceof BrokenInvariants)) throw error;
      return true;
    }
  }
  return false;
}
