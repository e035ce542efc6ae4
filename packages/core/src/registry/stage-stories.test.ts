import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openRegistryWorld } from '../../test/registry-world.ts';
import type { ModelPolicy, ModelRule, ModelStage } from '../../test/stage-model.ts';
import { people, StageStory, type Step } from '../../test/stage-story.ts';

const stages: readonly ModelStage[] = ['DEVELOPMENT', 'STAGING', 'PRODUCTION', 'ARCHIVED'];
const ways = stages.flatMap((from) =>
  stages
    .filter((to) => to !== from && !(from === 'ARCHIVED' && to === 'PRODUCTION'))
    .map((to) => ({ from, to })),
);

const ruleOf = ({ from, to }: Pick<ModelRule, 'from' | 'to'>): fc.Arbitrary<ModelRule> =>
  fc.record({
    from: fc.constant(from),
    to: fc.constant(to),
    mustBeGood: fc.boolean(),
    approvals: fc.integer({ min: 0, max: 2 }),
    roles: fc.subarray(['lead', 'risk']),
    expires: fc.boolean(),
  });
const policy: fc.Arbitrary<ModelPolicy> = fc.record({
  rules: fc.subarray(ways, { minLength: 5 }).chain((some) => fc.tuple(...some.map(ruleOf))),
  single: fc.boolean(),
  self: fc.boolean(),
});
const at = fc.nat({ max: 50 });
const who = fc.nat({ max: people.length - 1 });
const op = <T extends Step['op']>(name: T) => fc.constant(name);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ op: op('register'), good: fc.boolean() }) },
  {
    weight: 8,
    arbitrary: fc.record({ op: op('request'), at, to: fc.constantFrom(...stages), who }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ op: op('decide'), at: fc.nat({ max: 3 }), yes: fc.boolean(), who }),
  },
  { weight: 1, arbitrary: fc.record({ op: op('withdraw'), at: fc.nat({ max: 3 }), who }) },
  { weight: 1, arbitrary: fc.record({ op: op('wait') }) },
  { weight: 2, arbitrary: fc.record({ op: op('rollback') }) },
  { weight: 1, arbitrary: fc.record({ op: op('remove'), at, force: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ op: op('restore'), at }) },
  { weight: 1, arbitrary: fc.record({ op: op('policy'), policy }) },
);

test('every way × who decides × what the check finds', async () => {
  await using world = await openRegistryWorld();
  const clock = { nowMs: 0 };
  const tally = new Map<string, number>();
  const open = (from: ModelStage, to: ModelStage): ModelRule => ({
    ...{ from, to, mustBeGood: false, approvals: 0, roles: [], expires: false },
  });
  const all: ModelPolicy = {
    rules: ways.map(({ from, to }) => open(from, to)),
    ...{ single: true, self: false },
  };
  const leading: Readonly<Record<ModelStage, readonly ModelStage[]>> = {
    DEVELOPMENT: [],
    STAGING: ['STAGING'],
    PRODUCTION: ['STAGING', 'PRODUCTION'],
    ARCHIVED: ['ARCHIVED'],
  };
  const table: string[] = [];
  for (const from of stages) {
    for (const to of stages) {
      for (const [decider, { id }] of people.entries()) {
        for (const good of [true, false]) {
          const name = `${from} ${to} ${id} ${good}`;
          const story = new StageStory(world, { name, policy: all, clock, tally });
          await story.begin();
          await story.tell({ op: 'register', good });
          for (const stop of leading[from]) {
            await story.tell({ op: 'request', at: 1, to: stop, who: 1 });
          }
          const rule = { ...open(from, to), mustBeGood: true, approvals: 1, roles: ['risk'] };
          const has = ways.some((way) => way.from === from && way.to === to);
          const strict = { rules: has ? [rule] : [], single: true, self: false };
          await story.tell({ op: 'policy', policy: strict });
          const asked = await story.tell({ op: 'request', at: 1, to, who: 1 });
          if (asked !== 'ok') continue;
          const decided = await story.tell({ op: 'decide', at: 0, yes: true, who: decider });
          table.push(`${good ? 'good' : 'bad'}, ${id}: ${decided}`);
        }
      }
    }
  }
  const counted = Object.entries(Object.groupBy(table, (line) => line)).map(
    ([line, those = []]) => [line, those.length] as const,
  );
  expect(Object.fromEntries(counted)).toEqual({
    'good, user:ana: FORBIDDEN': ways.length,
    'good, user:ben: FORBIDDEN': ways.length,
    'good, user:ceri: ok': ways.length,
    'bad, user:ana: CONFLICT': ways.length,
    'bad, user:ben: CONFLICT': ways.length,
    'bad, user:ceri: CONFLICT': ways.length,
  });
}, 240_000);

test('random stories: the registry does what the reference does', async () => {
  const clock = { nowMs: Date.now() };
  await using world = await openRegistryWorld({ clock: { now: () => clock.nowMs } });
  const tally = new Map<string, number>();
  const seed = Number(process.env['KEELSON_SEED'] ?? Date.now() % 2 ** 31);
  const numRuns = Number(process.env['RUNS'] ?? 25);
  console.log(`KEELSON_SEED=${seed}`);
  let stories = 0;
  const steps = fc.array(step, { minLength: 10, maxLength: 40 });
  const story = fc.asyncProperty(policy, steps, async (first, all) => {
    stories += 1;
    const name = `story ${stories}`;
    const told = new StageStory(world, { name, policy: first, clock, tally });
    await told.begin();
    for (const next of all) await told.tell(next);
  });
  await fc.assert(story, { seed, numRuns });
  for (const verdict of ['request ok', 'request CONFLICT', 'decide ok', 'decide FORBIDDEN']) {
    expect(tally.get(verdict) ?? 0, JSON.stringify([...tally])).toBeGreaterThan(0);
  }
}, 240_000);
