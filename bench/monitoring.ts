import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openPlatform } from '@keelson/core';
import { driftReport } from '@keelson/core/monitoring';
import { lossWatch, seededRandom } from '@keelson/core/statistics';
import type { BenchContext } from './benchmark.ts';
import { Evidently } from './evidently.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, rows: 3_000, runs: 3 },
  usual: { rounds: 3, rows: 1_000_000, runs: 100 },
  full: { rounds: 5, rows: 1_000_000, runs: 1_000 },
};
const numbers = Array.from({ length: 15 }, (_, f) => `number${f}`);
const categories = Array.from({ length: 5 }, (_, f) => `category${f}`);

/** A column of numbers, or of codes of categories with their texts. */
type Table = Readonly<Record<string, Float64Array | readonly string[]>>;

/**
 * Drift of a million rows of 20 features: from the store, and of two tables in memory beside Evidently on the same ones; how
 * often the detectors over losses alarm without change, and how soon with one.
 */
export async function benchMonitoring(context: BenchContext): Promise<Row[]> {
  const { rows } = sizes[context.scale];
  context.tell(`monitoring: making two tables of ${rows} rows`);
  const [reference, current] = [tableOf('reference', rows, 0), tableOf('current', rows, 0.15)];
  return [
    ...(await fromTheStore(context, reference, current)),
    ...(await besideEvidently(context, reference, current)),
    ...detectors(context),
  ];
}

function tableOf(seed: string, rows: number, shift: number): Table {
  const random = seededRandom(seed);
  const ofNumbers = numbers.map((name, f): [string, Float64Array] => {
    const moved = f === 0 ? shift : 0;
    // A third of them have long tails.
    const values = Float64Array.from({ length: rows }, () =>
      f % 3 === 2 ? Math.exp(random.normal()) : random.normal() + moved,
    );
    return [name, values];
  });
  const ofCategories = categories.map((name): [string, readonly string[]] => [
    name,
    Array.from({ length: rows }, () => `c${Math.floor(10 * random.uniform() ** 2)}`),
  ]);
  return Object.fromEntries([...ofNumbers, ...ofCategories]);
}

/** Predictions logged over a day, counted as they come; then asked for their drift. */
async function fromTheStore(
  context: BenchContext,
  reference: Table,
  current: Table,
): Promise<Row[]> {
  const { rounds, rows } = sizes[context.scale];
  await using platform = await openPlatform({ dir: join(context.dir, 'platform') });
  const { monitoring } = platform;
  const deployment = { id: 'bench', name: 'bench' };
  await monitoring.setBaseline({ deployment, versionId: 'v', reference });
  const begin = Date.parse('2026-01-01');
  const names = Object.keys(current);
  const began = performance.now();
  for (let i = 0; i < rows; i += 1) {
    const features = Object.fromEntries(names.map((name) => [name, current[name]?.[i] ?? null]));
    monitoring.predictions.record({
      ...{ deploymentId: 'bench', versionId: 'v', requestId: `r${i}`, role: 'primary' },
      ...{ at: begin + Math.floor((i / rows) * 86_400_000), features, prediction: 'a' },
      latencyMs: 1,
    });
    if (i % 10_000 === 9_999) {
      await monitoring.predictions.flush();
      context.tell(`monitoring: ${i + 1} of ${rows} predictions logged`);
    }
  }
  await monitoring.predictions.flush();
  const seconds = (performance.now() - began) / 1000;
  const range = { from: begin, to: begin + 86_400_000 };
  const { drift } = await inTurns(rounds, {
    drift: async () => (await elapsedMs(() => monitoring.drift('bench', range))) / 1000,
  });
  return [
    { ...rowOf(`drift of ${millions(rows)} rows × 20, stored`, 's', drift), goal: { most: 5 } },
    rowOf('predictions × 20 logged and counted', 'rows/s', [rows / seconds]),
  ];
}

async function besideEvidently(
  context: BenchContext,
  reference: Table,
  current: Table,
): Promise<Row[]> {
  const { rounds, rows } = sizes[context.scale];
  const dir = join(context.dir, 'columns');
  await mkdir(dir);
  await writeColumns(dir, 'reference', reference);
  await writeColumns(dir, 'current', current);
  const name = `drift of ${millions(rows)} rows × 20, in memory`;
  const ours = async (): Promise<number> =>
    (await elapsedMs(() => driftReport(reference, current).toJSON())) / 1000;
  // Its start alone takes longer than the smallest form may.
  await using other = context.scale === 'smallest' ? undefined : await Evidently.start(dir);
  if (other === undefined) {
    context.tell('monitoring: Evidently is not installed here (docs/benchmarks.md says how)');
    const taken = await inTurns(rounds, { ours });
    return [{ ...rowOf(name, 's', taken.ours), goal: { most: 5 } }];
  }
  const taken = await inTurns(
    rounds,
    { ours, evidently: async () => (await other.compare()) / 1000 },
    (round) => context.tell(`monitoring: round ${round} of ${rounds}, beside Evidently`),
  );
  const baseline = { name: `Evidently ${other.version}`, values: taken.evidently };
  return [
    { ...rowOf(name, 's', taken.ours, baseline), goal: { mostRatio: 0.1 } },
    { ...rowOf('the same', 's', taken.ours), goal: { most: 5 } },
  ];
}

async function writeColumns(dir: string, side: string, table: Table): Promise<void> {
  for (const [name, values] of Object.entries(table)) {
    if (values instanceof Float64Array) {
      await writeFile(join(dir, `${side}-${name}.f64`), values);
      continue;
    }
    const codes = Uint8Array.from(values as readonly string[], (text) => Number(text.slice(1)));
    await writeFile(join(dir, `${side}-${name}.u8`), codes);
  }
}

function millions(rows: number): string {
  return rows < 1_000_000 ? rows.toLocaleString('en-US') : `${rows / 1_000_000} M`;
}

type Law = (random: ReturnType<typeof seededRandom>, isWorse: boolean) => number;

/** What losses are like, before and after they rise. */
const laws: Readonly<Record<string, Law>> = {
  'errors 2 → 6 %': (random, isWorse) => (random.uniform() < (isWorse ? 0.06 : 0.02) ? 1 : 0),
  'errors 10 → 20 %': (random, isWorse) => (random.uniform() < (isWorse ? 0.2 : 0.1) ? 1 : 0),
  'absolute errors × 1.5': (random, isWorse) => Math.abs(random.normal()) * (isWorse ? 1.5 : 1),
};

/** Runs of 5,000 losses without a change, then 3,000 with one. */
function detectors(context: BenchContext): Row[] {
  const { runs } = sizes[context.scale];
  const [calm, worse] = context.scale === 'smallest' ? [1_000, 500] : [5_000, 3_000];
  return Object.entries(laws).flatMap(([name, law]): Row[] => {
    let alarms = 0;
    const delays: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      if (run % 50 === 0) context.tell(`monitoring: ${name}, run ${run} of ${runs}`);
      const random = seededRandom(`${name} ${run}`);
      let state = lossWatch.init();
      let isAlarm = false;
      for (let at = 0; at < calm; at += 1) {
        state = lossWatch.update(state, [{ at, loss: law(random, false) }]);
        isAlarm ||= state.change !== null;
      }
      if (isAlarm) alarms += 1;
      for (let at = calm; at < calm + worse && state.change?.direction !== 'up'; at += 1) {
        state = lossWatch.update(state, [{ at, loss: law(random, true) }]);
      }
      if (state.change?.direction === 'up') delays.push(state.change.foundIndex - calm);
    }
    const missed = runs - delays.length;
    const found = rowOf(`${name}: found after`, 'losses', delays.length > 0 ? delays : [worse]);
    return [
      { ...rowOf(`${name}: false alarms`, 'share', [alarms / runs]), goal: { most: 0.05 } },
      found,
      rowOf(`${name}: not found`, 'share', [missed / runs]),
    ];
  });
}
