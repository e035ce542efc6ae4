import type { BenchContext } from './benchmark.ts';
import type { Goal, Row } from './row.ts';

/** What the specification asks of a figure, by what its row is called. */
const goals: readonly (readonly [name: RegExp, goal: Goal])[] = [
  [/^logMetric at .*, p99 /, { most: 3 }],
  [/^logMetric at .*, p99\.9 /, { most: 100 }],
  [/^logMetric as fast as it goes, p99 /, { most: 3 }],
  [/^logMetric as fast as it goes, p99\.9 /, { most: 100 }],
  [/^logged, durable and folded/, { least: 500_000 }],
  [/^points missing/, { most: 0 }],
  [/^search of /, { most: 10 }],
  [/^adversarial search: all/, { most: 60 }],
  [/downsampled|1,000 buckets|buckets/, { most: 25 }],
  [/^commit of one change, p50/, { most: 1 }],
  [/^event loop stood still/, { most: 50 }],
  [/^put of a file, .* beside sha256sum \+ cp$/, { leastRatio: 0.8 }],
  [/memory beyond the base/, { most: 64 }],
];

/** Every figure of the specification of tracking that has a goal, beside its baseline. */
export async function benchTracking(context: BenchContext): Promise<Row[]> {
  const parts = [
    async () => (await import('./commits.ts')).benchCommits(context),
    async () => (await import('./contention.ts')).benchContention(context),
    async () => (await import('./log-calls.ts')).benchLogCalls(context),
    async () => (await import('./ingest.ts')).benchIngest(context),
    async () => (await import('./many-runs.ts')).benchManyRuns(context),
    async () => (await import('./search.ts')).benchSearch(context),
    async () => (await import('./history.ts')).benchHistory(context),
    async () => (await import('./artifacts.ts')).benchArtifacts(context),
    async () => (await import('./large-file.ts')).benchLargeFile(context),
    async () => (await import('./cold-start.ts')).benchColdStart(context),
  ];
  const rows: Row[] = [];
  for (const part of parts) rows.push(...(await part()));
  const withGoals = rows.map(withGoal);
  const lost = goals.find(([, goal]) => !withGoals.some((row) => row.goal === goal));
  if (lost !== undefined) throw new Error(`No row has the goal of ${lost[0]}.`);
  return withGoals;
}

function withGoal(row: Row): Row {
  const label = `${row.name} ${row.baseline === undefined ? '' : `beside ${row.baseline.name}`}`;
  const found = goals.find(([name]) => name.test(label.trim()));
  return found === undefined ? row : { ...row, goal: found[1] };
}
