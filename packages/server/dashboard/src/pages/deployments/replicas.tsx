import type { Deployment } from '@keelson/core';
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Act } from '../../parts/act.tsx';
import { Ago, Facts, Scroll, Section, Shown } from '../../parts/basics.tsx';
import { Chart } from '../../parts/chart.tsx';
import { showNumber } from '../../parts/format.ts';
import { liveOf } from './deployment-state.ts';

const most = 500;

/** How many replicas, and what autoscaling decided. */
export function Replicas({ deployment }: { readonly deployment: Deployment }): JSX.Element {
  const { name, serving, scaling } = deployment;
  const decisions = useResource(
    `scaling ${name}`,
    (signal) =>
      api.events.list(
        { type: ['scaling.decided'], subject: [`deployment:${name}`], limit: most },
        { signal },
      ),
    liveOf(name, ['scaling.']),
  );
  const { replicas } = serving as { readonly replicas?: number };
  const { min, max } = (scaling ?? {}) as { readonly min?: number; readonly max?: number };
  return (
    <>
      <Section title="Replicas" actions={<Scale deployment={deployment} />}>
        <Facts
          of={[
            [
              'How many',
              min === undefined
                ? showNumber(replicas ?? 1)
                : `between ${showNumber(min)} and ${showNumber(max)}, as the load asks`,
            ],
            ['Serving', <code key="serving">{JSON.stringify(serving)}</code>],
            scaling !== undefined && [
              'Autoscaling',
              <code key="scaling">{JSON.stringify(scaling)}</code>,
            ],
          ]}
        />
      </Section>
      <Section title="What autoscaling decided">
        <Shown of={decisions}>
          {({ events }) => {
            if (events.length === 0) {
              return (
                <p class="faint">
                  Nothing yet. Replicas follow the load where scaling has a least and a most number.
                </p>
              );
            }
            const rows = events.map(({ id, at, payload }) => ({
              ...{ id, at },
              before: Number(payload['oldReplicas']),
              after: Number(payload['newReplicas']),
              reason: String(payload['reason']),
            }));
            return (
              <>
                <Chart
                  title="Replicas"
                  axis="time"
                  height={150}
                  x={rows.flatMap(({ at }) => [(at - 1) / 1000, at / 1000])}
                  lines={[
                    {
                      label: 'replicas',
                      color: '#3b7dd8',
                      width: 2,
                      values: rows.flatMap(({ before, after }) => [before, after]),
                    },
                  ]}
                />
                <Scroll>
                  <table>
                    <thead>
                      <tr>
                        <th>When</th>
                        <th class="number">From</th>
                        <th class="number">To</th>
                        <th>Why</th>
                      </tr>
                    </thead>
                    <tbody>
                      {rows.toReversed().map(({ id, at, before, after, reason }) => (
                        <tr key={id}>
                          <td>
                            <Ago at={at} />
                          </td>
                          <td class="number">{before}</td>
                          <td class="number">{after}</td>
                          <td class="wrap">{reason}</td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </Scroll>
              </>
            );
          }}
        </Shown>
      </Section>
    </>
  );
}

function Scale({
  deployment: { name, serving, scaling },
}: {
  readonly deployment: Deployment;
}): JSX.Element {
  const known = (scaling ?? {}) as { readonly min?: number; readonly max?: number };
  const fixed = (serving as { readonly replicas?: number }).replicas ?? 1;
  const low = useSignal(known.min ?? fixed);
  const high = useSignal(known.max ?? fixed);
  const isFixed = low.value === high.value;
  return (
    <Act
      name="Scale"
      title={`Scale ${name}?`}
      does={['rollouts.scale', `deployment:${name}`]}
      consequence={
        <p>
          {isFixed
            ? `It is run by ${low.value} replicas from now on.`
            : `Its replicas follow the load, between ${low.value} and ${high.value}.`}{' '}
          This is a revision, and can be gone back from.
        </p>
      }
      ask="Reason"
      run={(reason) =>
        api.rollouts.scale({
          deployment: name,
          body: {
            ...(isFixed ? { targetReplicas: low.value } : { min: low.value, max: high.value }),
            ...(reason === '' ? {} : { reason }),
          },
        })
      }
    >
      {(
        [
          ['At least', low],
          ['At most', high],
        ] as const
      ).map(([label, value]) => (
        <label key={label}>
          {label}
          <input
            type="number"
            min="0"
            max="1000"
            value={value.value}
            onInput={({ currentTarget }) => {
              value.value = Number(currentTarget.value);
            }}
          />
        </label>
      ))}
    </Act>
  );
}
