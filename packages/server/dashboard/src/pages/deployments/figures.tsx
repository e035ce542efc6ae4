import type { Deployment, EndpointMetric, EndpointMetricName, Rollout } from '@keelson/core';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Empty, Section, Shown } from '../../parts/basics.tsx';
import { Chart } from '../../parts/chart.tsx';
import { setView, view } from '../../routing/address.ts';
import { colorOfVersion, shortName } from './weights.tsx';

const names: readonly EndpointMetricName[] = [
  'latency_p50',
  'latency_p95',
  'latency_p99',
  'error_rate',
  'requests',
];
const titles: Readonly<Record<string, string>> = {
  latency_p50: 'Latency, median, ms',
  latency_p95: 'Latency, p95, ms',
  latency_p99: 'Latency, p99, ms',
  error_rate: 'Share of requests that failed',
  requests: 'Requests in each window',
};
const ranges = {
  '1h': ['last hour', '1m'],
  '24h': ['last day', '15m'],
  '7d': ['last week', '1h'],
  '30d': ['last 30 days', '1d'],
} as const;
type Range = keyof typeof ranges;

interface Span {
  readonly startTime: string;
  readonly endTime?: string;
  readonly aggregation: string;
}

/** How fast each version answers, and how often it fails. */
export function FiguresOf({
  deployment: { name },
  rollouts,
}: {
  readonly deployment: Deployment;
  readonly rollouts: readonly Rollout[];
}): JSX.Element {
  const chosen = view('range', '24h');
  const span = spanOf(chosen, rollouts);
  const figures = useResource(
    `figures ${name} ${JSON.stringify(span)}`,
    (signal) => api.monitoring.metrics({ name, names, by: 'version', ...span }, { signal }),
    { on: ['deployment.', 'rollout.', 'traffic.', 'monitoring.', 'alert.'] },
  );
  const versions = new Map(
    rollouts.flatMap((each) => [
      [each.candidateVersionId, each.candidate] as const,
      [each.baselineVersionId, each.baseline] as const,
    ]),
  );
  const choice = (
    <label>
      In the{' '}
      <select
        value={chosen}
        onChange={({ currentTarget }) => setView({ range: currentTarget.value })}
      >
        {(Object.keys(ranges) as Range[]).map((range) => (
          <option key={range} value={range}>
            {ranges[range][0]}
          </option>
        ))}
        {rollouts.toReversed().map(({ id, candidate }) => (
          <option key={id} value={id}>
            rollout of {shortName(candidate)}
          </option>
        ))}
      </select>
    </label>
  );
  return (
    <Section title="By version" actions={choice}>
      <Shown of={figures}>
        {({ metrics }) => {
          const known = metrics.filter(({ points }) => points.some(({ count }) => count > 0));
          if (known.length === 0) {
            return (
              <Empty title="Nothing was asked in this time">
                <p>
                  Requests are counted where the deployment is served; choose another time above.
                </p>
              </Empty>
            );
          }
          return (
            <div class="charts">
              {names.map((each) => (
                <Panel
                  key={each}
                  title={titles[each] ?? each}
                  of={known.filter((metric) => metric.name === each)}
                  versions={versions}
                />
              ))}
            </div>
          );
        }}
      </Shown>
    </Section>
  );
}

function spanOf(chosen: string, rollouts: readonly Rollout[]): Span {
  const rollout = rollouts.find(({ id }) => id === chosen);
  if (rollout === undefined) {
    const range = chosen in ranges ? (chosen as Range) : '24h';
    return { startTime: range, aggregation: ranges[range][1] };
  }
  const until = Math.max(rollout.evaluatedAt, rollout.decisions.at(-1)?.at ?? 0);
  const lastMs = until - rollout.beganAt;
  const aggregation =
    lastMs < 2 * 3_600_000
      ? '1m'
      : lastMs < 2 * 86_400_000
        ? '15m'
        : lastMs < 30 * 86_400_000
          ? '1h'
          : '1w';
  return {
    startTime: new Date(rollout.beganAt).toISOString(),
    endTime: new Date(until + 60_000).toISOString(),
    aggregation,
  };
}

function Panel({
  title,
  of,
  versions,
}: {
  readonly title: string;
  readonly of: readonly EndpointMetric[];
  readonly versions: ReadonlyMap<string, string>;
}): JSX.Element | null {
  const at = [...new Set(of.flatMap(({ points }) => points.map((point) => point.at)))].sort(
    (a, b) => a - b,
  );
  if (at.length === 0) return null;
  return (
    <Chart
      title={title}
      axis="time"
      height={170}
      sync="figures"
      x={at.map((each) => each / 1000)}
      lines={of.map(({ dimensions, points }) => {
        const id = String(dimensions['version'] ?? '');
        const values = new Map(points.map((point) => [point.at, point.value]));
        return {
          label: shortName(versions.get(id) ?? (id === '' ? 'all' : id.slice(-8))),
          color: colorOfVersion(versions.get(id) ?? id),
          values: at.map((each) => values.get(each) ?? null),
        };
      })}
    />
  );
}
