import fc from 'fast-check';
import type { Services } from '../../src/open-platform.ts';

type Registry = Services['registry'];

/** What a random history is told against. */
interface Told {
  readonly registry: Registry;
  by(principal: string): Registry;
  readonly versions: { readonly id: string; readonly model: string; readonly version: string }[];
  readonly transitions: string[];
}

/** One thing that somebody does; what is refused by the rules of the registry is no fault. */
export type RegistryDeed = (told: Told) => Promise<unknown>;

const model = fc.constantFrom('fraud', 'churn/eu', 'ü "x"');
const which = fc.nat(1_000);
const text = fc.constantFrom('', 'x', '日本語 😀', '__proto__', ' a "b" \n');
const alias = fc.constantFrom('champion', 'challenger', 'gold');
const person = fc.constantFrom('user:ana', 'user:ben', 'user:cleo');
const reason = fc.constantFrom('because', 'ü\u2028');

const one = ({ versions }: Told, n: number) => versions[n % Math.max(1, versions.length)];

const onVersion =
  (
    n: number,
    deed: (version: Told['versions'][number], told: Told) => Promise<unknown>,
  ): RegistryDeed =>
  async (told) => {
    const version = one(told, n);
    return version === undefined ? undefined : deed(version, told);
  };

const register = fc
  .tuple(model, which, fc.constantFrom('minor', 'patch', 'major'), text, fc.boolean())
  .map(
    ([name, n, bump, tag, hasParent]): RegistryDeed =>
      async (told) => {
        const parent = hasParent ? one(told, n) : undefined;
        const made = await told.registry.register({
          ...{ model: name, format: 'CUSTOM', bump },
          from: { files: { 'a.bin': Buffer.from(`${n % 5}`), 'd/b.txt': Buffer.from(tag) } },
          metrics: { auc: n / 1000, odd: n % 2 === 0 ? -0 : 1e-300 },
          tags: { tag },
          lineage: {
            parentVersionIds: parent === undefined ? [] : [parent.id],
            datasets: [{ digest: `d${n % 3}`, role: 'train' }],
          },
        });
        told.versions.push(made);
      },
  );

const stage = fc.constantFrom('DEVELOPMENT', 'STAGING', 'PRODUCTION', 'ARCHIVED');

const deeds: fc.Arbitrary<RegistryDeed> = fc.oneof(
  { weight: 6, arbitrary: register },
  {
    weight: 8,
    arbitrary: fc.tuple(which, stage, reason).map(
      ([n, to, why]): RegistryDeed =>
        onVersion(n, async ({ model: of, version }, { registry, transitions }) => {
          const asked = { model: of, version, to, reason: why, confirm: true } as const;
          transitions.push((await registry.requestTransition(asked)).id);
        }),
    ),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(which, person, fc.boolean(), text).map(
      ([n, who, yes, comment]): RegistryDeed =>
        async ({ transitions, by }) => {
          const id = transitions.at(-1 - (n % Math.max(1, Math.min(3, transitions.length))));
          if (id === undefined) return;
          await (yes ? by(who).approve(id, { comment }) : by(who).reject(id, { comment }));
        },
    ),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(which, alias, fc.boolean())
      .map(
        ([n, name, off]): RegistryDeed =>
          onVersion(n, ({ model: of, version }, { registry }) =>
            off ? registry.removeAlias(of, name) : registry.setAlias(of, name, version),
          ),
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(which, text)
      .map(
        ([n, tag]): RegistryDeed =>
          onVersion(n, ({ id }, { registry }) => registry.setVersionTags(id, { tag, later: 'x' })),
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(which, text)
      .map(
        ([n, team]): RegistryDeed =>
          onVersion(n, ({ id }, { by }) => by('user:ana').setCard(id, { team: `t${team}` })),
      ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(which, fc.boolean(), fc.boolean()).map(
      ([n, singleProduction, selfApproval]): RegistryDeed =>
        onVersion(n, async ({ model: of }, { registry }) => {
          const { policy } = await registry.getModel(of);
          const transitions = policy.transitions.map((rule) => ({ ...rule, checks: [] }));
          await registry.setPolicy(of, { transitions, singleProduction, selfApproval });
        }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(which, reason)
      .map(
        ([n, why]): RegistryDeed =>
          onVersion(n, ({ model: of, version }, { registry }) =>
            registry.deprecate(of, version, { reason: why }),
          ),
      ),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(which, reason, fc.boolean(), fc.boolean())
      .map(
        ([n, why, back, force]): RegistryDeed =>
          onVersion(n, ({ model: of, version }, { registry }) =>
            back
              ? registry.restoreVersion(of, version)
              : registry.deleteVersion(of, version, { reason: why, force }),
          ),
      ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(model, fc.boolean()).map(
      ([name, back]): RegistryDeed =>
        ({ registry }) =>
          back
            ? registry.restoreModel(name)
            : registry.deleteModel(name, { reason: 'gone', force: true }),
    ),
  },
  {
    weight: 2,
    arbitrary: model.map(
      (name): RegistryDeed =>
        ({ registry }) =>
          registry.rollback(name, { reason: 'on fire' }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(model, fc.boolean(), which).map(
      ([name, off, n]): RegistryDeed =>
        ({ registry }) =>
          off
            ? registry.removeValidationSuite(name, 'speed')
            : registry.setValidationSuite(name, {
                name: 'speed',
                tests: [{ test: 'golden', cases: [{ inputs: { x: n }, expected: { y: n } }] }],
              }),
    ),
  },
);

/** Random histories of a registry. */
export const registryHistories: fc.Arbitrary<readonly RegistryDeed[]> = fc.array(deeds, {
  minLength: 15,
  maxLength: 60,
  size: 'max',
});

/** Lets a history happen; answers how many deeds were not refused. */
export async function happenIn(
  registry: Registry,
  by: (principal: string) => Registry,
  history: readonly RegistryDeed[],
  isRefusal: (error: unknown) => boolean,
): Promise<number> {
  const told: Told = { registry, by, versions: [], transitions: [] };
  let done = 0;
  for (const deed of history) {
    try {
      await deed(told);
      done += 1;
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
  }
  return done;
}
