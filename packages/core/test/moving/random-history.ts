import fc from 'fast-check';
import type { Services } from '../../src/open-platform.ts';
import type { ActiveRun } from '../../src/tracking/active-run.ts';

type Tracking = Services['tracking'];

/** What a random history is told against: the runs begun so far, and those that still run. */
interface Told {
  readonly tracking: Tracking;
  readonly runs: string[];
  readonly open: Map<string, ActiveRun>;
}

/** One thing that somebody does; what is refused by the rules of tracking is no fault. */
export type Deed = (told: Told) => Promise<unknown>;

const quick = { environment: false } as const;
const experiment = fc.constantFrom('a', 'b/c', 'ü');
const key = fc.constantFrom('loss', 'acc', '__proto__', 'with "quotes" and ü', 'l');
const number = fc.oneof(
  fc.double(),
  fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 5e-324),
);
const step = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2 ** 40),
);
const text = fc.constantFrom('', 'x', '0.001', '日本語 😀', '__proto__', '$number', ' a "b" \n');
const json = fc.oneof(
  number,
  text,
  fc.boolean(),
  fc.constantFrom(null, [1, [2, -0]], { $number: 'NaN' }, { deep: { er: [Number.NaN] } }),
);
const which = fc.nat(100);
const bytes = fc.oneof(
  fc.constantFrom('', 'one', 'two').map((some) => Buffer.from(some)),
  fc.uint8Array({ maxLength: 2_000 }).map((some) => Buffer.from(some)),
);

/** One of the runs that still run. */
function openRun({ open }: Told, n: number): ActiveRun | undefined {
  return [...open.values()][n % Math.max(1, open.size)];
}

const onOpen =
  (n: number, deed: (run: ActiveRun, told: Told) => Promise<unknown>): Deed =>
  async (told) => {
    const run = openRun(told, n);
    return run === undefined ? undefined : deed(run, told);
  };

const onAny =
  (n: number, deed: (id: string, tracking: Tracking) => Promise<unknown>): Deed =>
  async (told) => {
    const id = told.runs[n % Math.max(1, told.runs.length)];
    return id === undefined ? undefined : deed(id, told.tracking);
  };

const start = fc.tuple(experiment, which, fc.dictionary(fc.constantFrom('p', 'q.r'), json)).map(
  ([name, n, params]): Deed =>
    async (told) => {
      const parent = n % 3 === 0 ? told.runs[n % Math.max(1, told.runs.length)] : undefined;
      const run = await told.tracking.startRun({
        experiment: name,
        params,
        ...quick,
        ...(parent === undefined ? {} : { parentRunId: parent }),
      });
      told.runs.push(run.id);
      told.open.set(run.id, run);
    },
);

const points = fc
  .tuple(which, key, fc.array(fc.tuple(number, step, fc.nat(3)), { minLength: 1, maxLength: 20 }))
  .map(
    ([n, name, all]): Deed =>
      onOpen(n, async (run) => {
        for (const [value, at, timestamp] of all) {
          run.logMetric(name, value, { step: at, timestamp });
        }
      }),
  );

const artifact = fc
  .tuple(
    which,
    fc.constantFrom('m.bin', 'd/ü.txt', 'd/e/f'),
    bytes,
    fc.constantFrom('suffix', 'replace', 'error'),
    text,
  )
  .map(
    ([n, path, content, onConflict, from]): Deed =>
      onOpen(n, (run) => run.logArtifact(path, content, { onConflict, metadata: { from } })),
  );

const deeds: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 4, arbitrary: start },
  { weight: 6, arbitrary: points },
  { weight: 5, arbitrary: artifact },
  {
    weight: 4,
    arbitrary: fc
      .tuple(which, fc.dictionary(fc.constantFrom('p', 'q', '__proto__'), json))
      .map(([n, params]): Deed => onOpen(n, (run) => run.logParams(params))),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(which, fc.constantFrom('1', '2'), fc.constantFrom('train', 'test'))
      .map(
        ([n, digest, role]): Deed =>
          onOpen(n, (run) => run.logDataset({ name: 'd', digest, role })),
      ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(which, fc.constantFrom('COMPLETED', 'FAILED', 'KILLED')).map(
      ([n, status]): Deed =>
        onOpen(n, async (run, { open }) => {
          await run.finish(status, 'because');
          open.delete(run.id);
        }),
    ),
  },
  {
    weight: 2,
    arbitrary: which.map(
      (n): Deed =>
        async (told) => {
          const id = told.runs[n % Math.max(1, told.runs.length)];
          if (id !== undefined) told.open.set(id, await told.tracking.resumeRun(id));
        },
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(which, text)
      .map(([n, tag]): Deed => onAny(n, (id, tracking) => tracking.setRunTags(id, { tag }))),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(which, text)
      .map(([n, description]): Deed => onAny(n, (id, t) => t.updateRun(id, { description }))),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(which, fc.boolean())
      .map(([n, back]): Deed => onAny(n, (id, t) => (back ? t.restoreRun(id) : t.deleteRun(id)))),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(experiment, fc.constantFrom('active', 'archived')).map(
      ([name, lifecycle]): Deed =>
        ({ tracking }) =>
          tracking.updateExperiment(name, { lifecycle }),
    ),
  },
  {
    weight: 1,
    arbitrary: experiment.map(
      (name): Deed =>
        ({ tracking }) =>
          tracking.deleteExperiment(name),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('loss', 'acc').map(
      (name): Deed =>
        ({ tracking }) =>
          tracking.defineMetric({ name, aliases: name === 'loss' ? ['l'] : [], unit: name }),
    ),
  },
);

/** Random histories of a workspace. */
export const histories: fc.Arbitrary<readonly Deed[]> = fc.array(deeds, {
  minLength: 5,
  maxLength: 40,
  size: 'max',
});

/** Lets a history happen; at its end all runs have ended. Answers how many deeds were not refused. */
export async function happen(
  { tracking }: Pick<Services, 'tracking'>,
  history: readonly Deed[],
  isRefusal: (error: unknown) => boolean,
): Promise<number> {
  const told: Told = { tracking, runs: [], open: new Map() };
  let done = 0;
  for (const deed of history) {
    try {
      await deed(told);
      done += 1;
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
  }
  for (const run of told.open.values()) await run.finish().catch(() => run.finish('FAILED'));
  return done;
}
