import { join } from 'node:path';
import { openPlatform } from '@keelson/core';
import { baselineDrift } from '@keelson/core/monitoring';
import { clopperPearsonInterval, seededRandom } from '@keelson/core/statistics';
import { SqliteSeriesStore } from '../packages/core/src/embedded/sqlite-series-store.ts';
import { CountedWindows } from '../packages/core/src/monitoring/windows/counted-windows.ts';
import { simulateWindow } from '../packages/core/test/simulated-windows.ts';
import type { BenchContext } from './benchmark.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: {
    rounds: 1,
    minutes: 20,
    rowsPerMinute: 100,
    windows: 20,
    features: [1, 5],
    rows: [100, 2000],
  },
  usual: {
    ...{ rounds: 11, minutes: 1440, rowsPerMinute: 695, windows: 300 },
    ...{ features: [1, 10, 100], rows: [50, 200, 1000, 10_000, 100_000] },
  },
  full: {
    ...{ rounds: 21, minutes: 1440, rowsPerMinute: 6945, windows: 1000 },
    ...{ features: [1, 10, 100], rows: [50, 200, 500, 1000, 10_000, 100_000] },
  },
};
const minuteMs = 60_000;
const begin = Date.parse('2026-01-05');
const alpha = 0.05;

/**
 * Counting predictions and reading a day of their figures by the minute; how often a window without drift is said to have
 * any, beside what is allowed, and how often one with drift is.
 */
export async function benchMonitoringWindows(context: BenchContext): Promise<Row[]> {
  return [...(await figures(context)), ...falseAlarms(context), ...power(context)];
}

async function figures(context: BenchContext): Promise<Row[]> {
  const { rounds, minutes, rowsPerMinute } = sizes[context.scale];
  const dir = join(context.dir, 'monitoring-windows');
  await using platform = await openPlatform({ dir });
  const path = join(dir, 'keelson.db');
  await using series = await SqliteSeriesStore.open({ path });
  const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  const counted = new CountedWindows(
    { series, workspace: platform.workspace, logger, clock: { now: () => begin } },
    async () => undefined,
  );
  const random = seededRandom('latencies');
  let countedMs = 0;
  for (let minute = 0; minute < minutes; minute += 1) {
    if (minute % 60 === 0) context.tell(`monitoring: counting hour ${minute / 60}`);
    const at = begin + minute * minuteMs;
    const rows = Array.from({ length: rowsPerMinute }, (_, i) => ({
      ...({
        deploymentId: 'd',
        role: 'primary',
        requestId: '',
        prediction: 1,
        features: {},
      } as const),
      ...{ versionId: i % 10 === 0 ? 'v2' : 'v1', at: at + (i * minuteMs) / rowsPerMinute },
      ...{ latencyMs: Math.exp(2.5 + 0.6 * random.normal()), queueMs: 1, inferenceMs: 5 },
    }));
    countedMs += await elapsedMs(() => counted.count('d', rows));
    if (minute % 10 === 9) await counted.put({ all: true });
  }
  await counted.put({ all: true });
  const predictions = minutes * rowsPerMinute;
  const range = { from: begin, to: begin + minutes * minuteMs, windowMs: minuteMs };
  const names = ['latency_p99', 'error_rate'] as const;
  const read = async (): Promise<number> => {
    const ms = await elapsedMs(async () => {
      const [p99] = await platform.monitoring.metrics('d', { ...range, names });
      if (p99?.points.length !== minutes) throw new Error('Minutes are missing.');
    });
    return ms;
  };
  const times = await inTurns(rounds, { read });
  const millions = (predictions / 1e6).toPrecision(3);
  return [
    {
      ...rowOf(`p99 and errors by the minute, ${millions} million predictions`, 'ms', times.read),
      goal: { most: 10 },
    },
    rowOf('counting a prediction', 'µs', [(1000 * countedMs) / predictions]),
  ];
}

function quiet(): void {
  // Nothing is told.
}

/** The share of windows with an alarm although nothing has changed. */
function falseAlarms(context: BenchContext): Row[] {
  const { windows, features, rows } = sizes[context.scale];
  return rows.flatMap((n) =>
    features.map((count) => {
      context.tell(`monitoring: ${windows} windows of ${n} rows and ${count} features`);
      return shareRow(`false alarms, ${n} rows × ${count} features`, windows, alpha, (seed) =>
        isDetected(seed, n, count, 0),
      );
    }),
  );
}

/** The share of windows in which one feature that is shifted is found, of ten. */
function power(context: BenchContext): Row[] {
  const { windows, rows } = sizes[context.scale];
  const shifts = context.scale === 'smallest' ? [0.5] : [0.1, 0.2, 0.3, 0.5, 1];
  return rows.flatMap((n) =>
    shifts.map((shift) => {
      context.tell(`monitoring: ${windows} windows of ${n} rows shifted by ${shift}`);
      return shareRow(`found, ${n} rows, shift ${shift} sd`, windows, undefined, (seed) =>
        isDetected(seed, n, 10, shift),
      );
    }),
  );
}

function isDetected(seed: string, rows: number, features: number, shift: number): boolean {
  const random = seededRandom(`${seed}:${rows}:${features}:${shift}`);
  const { baseline, window } = simulateWindow({ random, reference: 10_000, rows, features, shift });
  return baselineDrift(baseline, window, { alpha }).features.detected;
}

function shareRow(
  name: string,
  trials: number,
  allowed: number | undefined,
  isFound: (seed: string) => boolean,
): Row {
  let successes = 0;
  for (let i = 0; i < trials; i += 1) if (isFound(`monitoring:${i}`)) successes += 1;
  const { low, high } = clopperPearsonInterval({ successes, trials }, 0.05);
  const row: Row = {
    name,
    value: (100 * successes) / trials,
    unit: '%',
    spread: [100 * low, 100 * high],
  };
  if (allowed === undefined) return row;
  return {
    ...row,
    baseline: { name: 'what is allowed at the most', value: 100 * allowed },
    ratio: successes / trials / allowed,
  };
}
