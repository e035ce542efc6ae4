import type { JSX } from 'preact';
import { api, Refusal } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Empty, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { Chart } from '../../parts/chart.tsx';
import { colorAt, showNumber, showShare } from '../../parts/format.ts';

type Found = Awaited<ReturnType<typeof api.monitoring.drift>>;

/** How many windows drift is drawn over. */
const windows = 12;
const lengths = {
  '1h': 3_600_000,
  '24h': 86_400_000,
  '7d': 7 * 86_400_000,
  '30d': 30 * 86_400_000,
} as const;
const drawn = 8;

/** Whether what comes in is what was learnt from: feature by feature, now and over time. */
export function Drift({
  name,
  span,
}: {
  readonly name: string;
  readonly span: keyof typeof lengths;
}): JSX.Element {
  const drift = useResource<{ readonly now: Found; readonly before: readonly Found[] } | null>(
    `drift ${name} ${span}`,
    async (signal) => {
      const till = Date.now();
      const step = lengths[span] / windows;
      const of = (from: number, to: number): Promise<Found> =>
        api.monitoring.drift(
          { name, startTime: new Date(from).toISOString(), endTime: new Date(to).toISOString() },
          { signal },
        );
      try {
        const now = await of(till - lengths[span], till);
        const before = await Promise.all(
          Array.from({ length: windows }, (_, i) =>
            of(till - (windows - i) * step, till - (windows - i - 1) * step),
          ),
        );
        return { now, before };
      } catch (error) {
        if (error instanceof Refusal && error.status === 404) return null;
        throw error;
      }
    },
    { on: ['drift.', 'monitoring.', 'baseline.'] },
  );
  return (
    <Section title="Drift from the baseline">
      <Shown of={drift}>
        {(data) => {
          if (data === null) return <p class="faint">There is no baseline to hold it against.</p>;
          if (data.now.drift === undefined)
            return <Empty title="Nothing was predicted in this time" />;
          return (
            <>
              <OverTime before={data.before} />
              <Features now={data.now} />
            </>
          );
        }}
      </Shown>
    </Section>
  );
}

function OverTime({ before }: { readonly before: readonly Found[] }): JSX.Element | null {
  const known = before.filter(({ drift }) => drift !== undefined);
  if (known.length < 2) return null;
  const excess = new Map<string, number>();
  for (const { drift } of known) {
    for (const { feature, result } of drift?.features.features ?? []) {
      excess.set(
        feature,
        Math.max(excess.get(feature) ?? 0, (result.score ?? 0) / (result.effectThreshold || 1)),
      );
    }
  }
  const features = [...excess]
    .sort(([, a], [, b]) => b - a)
    .slice(0, drawn)
    .map(([feature]) => feature);
  const x = before.map(({ to }) => to / 1000);
  const lines = features.map((feature, i) => ({
    ...{ label: feature, color: colorAt(i) },
    values: before.map(({ drift }) => {
      const found = drift?.features.features.find((each) => each.feature === feature)?.result;
      return found === undefined || found.score === null
        ? null
        : found.score / (found.effectThreshold || 1);
    }),
  }));
  const limit = {
    label: 'what matters',
    color: '#8a8a8a',
    dashed: true,
    values: before.map(() => 1),
  };
  return (
    <Chart
      title="Score of each feature, in multiples of what matters"
      axis="time"
      x={x}
      lines={[...lines, limit]}
    />
  );
}

function Features({ now }: { readonly now: Found }): JSX.Element {
  const { drift } = now;
  if (drift === undefined) return <p class="faint">Nothing was counted.</p>;
  const all = [...drift.features.features].sort((a, b) => b.excess - a.excess);
  const rows =
    drift.prediction === undefined
      ? all
      : [{ ...drift.prediction, feature: 'the prediction' }, ...all];
  return (
    <>
      <p>
        <Status
          of={drift.features.detected ? `drift, ${drift.features.severity}` : 'no drift'}
          tone={drift.features.detected ? 'bad' : 'good'}
        />{' '}
        <span class="faint">
          {showNumber(drift.entries.window)} predictions against{' '}
          {showNumber(drift.entries.baseline)} of the baseline;{' '}
          {showShare(drift.features.driftedShare)} of the features have drifted.
        </span>
      </p>
      <Scroll>
        <table>
          <thead>
            <tr>
              <th>Feature</th>
              <th>Found</th>
              <th>Method</th>
              <th class="number">Score</th>
              <th class="number">Matters from</th>
              <th class="number">Chance</th>
              <th class="number">p, corrected</th>
              <th class="number">Importance</th>
              <th>Notes</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ feature, result, adjustedPValue, detected, severity, importance }) => (
              <tr key={feature}>
                <td>{feature}</td>
                <td>
                  {result.outcome === 'measured' ? (
                    <Status of={detected ? severity : 'none'} tone={detected ? 'bad' : 'good'} />
                  ) : (
                    <Status of="not enough data" />
                  )}
                </td>
                <td>{result.method}</td>
                <td class="number">{showNumber(result.score)}</td>
                <td class="number">{showNumber(result.effectThreshold)}</td>
                <td class="number">{showNumber(result.chanceThreshold)}</td>
                <td class="number">{showNumber(adjustedPValue)}</td>
                <td class="number">{showShare(importance)}</td>
                <td class="wrap">{result.notes.join(' ')}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {drift.strangers.length > 0 && (
        <p>
          New categories:{' '}
          {drift.strangers
            .map(
              ({ feature, categories }) =>
                `${feature}: ${categories
                  .slice(0, 5)
                  .map(({ category, count }) => `${String(category)} (${count})`)
                  .join(', ')}`,
            )
            .join('; ')}
        </p>
      )}
    </>
  );
}
