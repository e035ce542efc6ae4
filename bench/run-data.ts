import type { Change } from '@keelson/core';
import { uuidV7 } from '@keelson/core';
import { type SeededRandom, seededRandom } from '@keelson/core/statistics';
import { openStores, type PlatformStores } from '../packages/core/src/embedded/open-stores.ts';
import { platformKinds } from '../packages/core/src/platform-kinds.ts';

const experiments = 150;
const runsPerCommit = 100;
const firstStart = Date.UTC(2026, 0, 1);
const minuteMs = 60_000;

/** One run to be stored. */
interface RunData {
  readonly id: string;
  readonly number: number;
  readonly experiment: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly params: Readonly<Record<string, string | number>>;
}

/** What was stored of one run. */
export interface StoredRun extends Pick<RunData, 'id' | 'experiment' | 'metrics' | 'params'> {
  readonly name: string;
  readonly isFailed: boolean;
  readonly startedAt: number;
  readonly tags: Readonly<Record<string, string>>;
}

/** Metrics that each run has; twelve more are of its experiment, 144 in all. */
const commonMetrics = ['accuracy', 'loss', 'val_loss', 'time', 'speed', 'a', 'b', 'c'];

/**
 * Stores runs as a workspace of some age has them: 150 experiments of very unequal size, 20 params, 20
 * metrics and 5 tags a run. `accuracy` is uniform in 0…1 and `loss` falls with it; four runs in five
 * have `optimizer = 'adam'`; each of `a`, `b` and `c` is above 0.6 in a third of the runs, two of them together
 * in hardly any.
 */
export async function storeRuns(
  dir: string,
  count: number,
  tell: (share: number) => void,
  stored: (run: StoredRun) => void = () => undefined,
): Promise<void> {
  const stores = await openStores({ dir, kinds: platformKinds });
  const random = seededRandom('runs');
  await stores.metadata.commit(commitOf(experimentRecords()));
  for (let from = 0; from < count; from += runsPerCommit) {
    tell(from / count);
    const length = Math.min(runsPerCommit, count - from);
    const runs = Array.from({ length }, (_, i) => drawRun(random, from + i));
    await stores.metadata.commit(commitOf(runs.map(createRun)));
    await appendMetrics(stores, runs, from / runsPerCommit + 1);
    for (const run of runs) {
      stored({ ...run, ...factsOf(run.number), tags: tagsOf(run.number) });
    }
  }
  await stores.series.fold();
  await stores.close({ timeoutMs: 10_000 });
}

function drawRun(random: SeededRandom, number: number): RunData {
  const experiment = Math.floor(random.uniform() ** 3 * experiments);
  const accuracy = random.uniform();
  const loss = 1 - accuracy + 0.1 * random.normal();
  const [a, b, c] = disjoint(random);
  const own = Array.from({ length: 20 - commonMetrics.length }, (_, i): [string, number] => [
    `own-${(12 * experiment + i) % 144}`,
    random.normal(),
  ]);
  const others = {
    val_loss: loss + 0.1 * random.normal(),
    time: random.uniform(),
    speed: random.uniform(),
  };
  const named = Array.from({ length: 17 }, (_, i): [string, string] => [
    `p${i}`,
    `value-${random.below(50)}`,
  ]);
  return {
    id: uuidV7(),
    number,
    experiment,
    metrics: { accuracy, loss, ...others, a, b, c, ...Object.fromEntries(own) },
    params: {
      optimizer: random.chance(0.8) ? 'adam' : 'sgd',
      'optimizer.learning_rate': 10 ** -(1 + random.below(5)),
      layers: 1 + random.below(8),
      ...Object.fromEntries(named),
    },
  };
}

/** Three values of which one is high, or, in one run of a thousand, all are. */
function disjoint(random: SeededRandom): [number, number, number] {
  const high = random.chance(0.001) ? -1 : random.below(3);
  const value = (i: number): number =>
    high === i || high === -1 ? 0.6 + 0.4 * random.uniform() : 0.6 * random.uniform();
  return [value(0), value(1), value(2)];
}

function factsOf(number: number): Pick<StoredRun, 'name' | 'isFailed' | 'startedAt'> {
  const startedAt = firstStart + number * minuteMs;
  return { name: `run-${number}`, isFailed: number % 20 === 0, startedAt };
}

function tagsOf(number: number): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Array.from({ length: 5 }, (_, i) => [`tag-${i}`, `value-${number % (7 * (i + 1))}`]),
  );
}

function createRun({ id, number, experiment, params }: RunData): Change {
  const { name, isFailed, startedAt } = factsOf(number);
  return {
    op: 'create',
    kind: 'run',
    id,
    columns: {
      experimentId: experimentId(experiment),
      name,
      status: isFailed ? 'FAILED' : 'COMPLETED',
      startedAt,
      endedAt: startedAt + 50_000,
      durationMs: 50_000,
      sourceType: 'SCRIPT',
      sourceName: 'train.ts',
      userId: `user:${number % 30}`,
      lifecycle: 'active',
    },
    body: {
      description: 'A run of the benchmark, with about as much text as an environment takes.',
      environment: {
        node: process.version,
        platform: 'linux',
        command: 'node train.ts '.repeat(10),
      },
    },
    facets: {
      params,
      tags: tagsOf(number),
    },
  };
}

function experimentRecords(): Change[] {
  return Array.from({ length: experiments }, (_, i) => ({
    op: 'create',
    kind: 'experiment',
    id: experimentId(i),
    columns: {
      name: `experiment-${i}`,
      liveName: `experiment-${i}`,
      lifecycle: 'active',
      createdBy: 'bench',
    },
  }));
}

/** The id of the n-th experiment; the first ones have the most runs. */
function experimentId(n: number): string {
  return `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
}

async function appendMetrics(
  stores: PlatformStores,
  runs: readonly RunData[],
  sequence: number,
): Promise<void> {
  const points = runs.flatMap(({ id, metrics }) =>
    Object.entries(metrics).map(([key, value]) => ({ owner: id, key, value })),
  );
  await stores.series.appendPoints({
    writer: 'bench',
    sequence,
    series: points.map(({ owner, key }) => ({ workspace: 'default', owner, key })),
    seriesIndex: Uint32Array.from(points.keys()),
    steps: new Float64Array(points.length),
    timestamps: new Float64Array(points.length).fill(firstStart),
    values: Float64Array.from(points, ({ value }) => value),
  });
}

function commitOf(changes: readonly Change[]): {
  readonly workspace: string;
  readonly principal: string;
  readonly changes: readonly Change[];
} {
  return { workspace: 'default', principal: 'bench', changes };
}
