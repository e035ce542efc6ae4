import type { Rollout } from '@keelson/core';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Section, Shown } from '../../parts/basics.tsx';
import { Chart } from '../../parts/chart.tsx';
import { setView, view } from '../../routing/address.ts';
import { isOpen, liveOf } from './deployment-state.ts';
import { colorOfVersion, shortName } from './weights.tsx';

type Weights = Readonly<Record<string, number>>;

interface Shift {
  readonly at: number;
  readonly before: Weights;
  readonly after: Weights;
}

/** Who answered how much, over time. */
export function TrafficOf({
  name,
  rollouts,
  shown,
}: {
  readonly name: string;
  readonly rollouts: readonly Rollout[];
  readonly shown: Rollout | undefined;
}): JSX.Element | null {
  const shifts = useResource(
    `shifts ${name}`,
    async (signal) => {
      const { events } = await api.events.list(
        { type: ['traffic.shifted'], subject: [`deployment:${name}`], limit: 1000 },
        { signal },
      );
      return events.map(
        ({ at, payload }): Shift => ({
          at,
          before: payload['oldWeights'] as Weights,
          after: payload['newWeights'] as Weights,
        }),
      );
    },
    liveOf(name, ['traffic.']),
  );
  const isAll = view('traffic') === 'all' || shown === undefined;
  const choice = shown !== undefined && (
    <label>
      Of{' '}
      <select
        value={isAll ? 'all' : ''}
        onChange={({ currentTarget }) => setView({ traffic: currentTarget.value })}
      >
        <option value="">this rollout</option>
        <option value="all">all time</option>
      </select>
    </label>
  );
  return (
    <Section title="Traffic" actions={choice}>
      <Shown of={shifts}>
        {(all) => {
          const chosen = isAll || shown === undefined ? all : all.filter(within(shown));
          if (chosen.length === 0)
            return <p class="faint">The same version has answered everything all the time.</p>;
          return <Split shifts={chosen} rollouts={rollouts} isMoving={rollouts.some(isOpen)} />;
        }}
      </Shown>
    </Section>
  );
}

function within({
  beganAt,
  decisions,
  status,
  candidateVersionId,
}: Rollout): (shift: Shift) => boolean {
  const until = isOpen({ status }) ? Infinity : (decisions.at(-1)?.at ?? beganAt);
  return ({ at, before, after }) =>
    at >= beganAt - 1 &&
    at <= until + 1 &&
    (candidateVersionId in before || candidateVersionId in after);
}

function Split({
  shifts,
  rollouts,
  isMoving,
}: {
  readonly shifts: readonly Shift[];
  readonly rollouts: readonly Rollout[];
  readonly isMoving: boolean;
}): JSX.Element {
  const names = new Map(
    rollouts.flatMap((each) => [
      [each.candidateVersionId, each.candidate] as const,
      [each.baselineVersionId, each.baseline] as const,
    ]),
  );
  const first = shifts[0] as Shift;
  const last = shifts.at(-1) as Shift;
  const span = Math.max(60_000, last.at - first.at);
  const ids = [
    ...new Set(
      shifts.flatMap(({ before, after }) => [...Object.keys(before), ...Object.keys(after)]),
    ),
  ];
  // A shift is at once: a point just before it holds what was.
  const points = [
    [first.at - span / 20, first.before] as const,
    ...shifts.flatMap(({ at, before, after }) => [[at - 1, before] as const, [at, after] as const]),
    [isMoving ? Math.max(Date.now(), last.at + 1) : last.at + span / 20, last.after] as const,
  ];
  return (
    <Chart
      title="Share of requests, %"
      axis="time"
      height={180}
      x={points.map(([at]) => at / 1000)}
      lines={ids.map((id) => ({
        label: shortName(names.get(id) ?? id.slice(-8)),
        color: colorOfVersion(names.get(id) ?? id),
        width: 2,
        values: points.map(([, weights]) => weights[id] ?? 0),
      }))}
    />
  );
}
