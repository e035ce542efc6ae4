import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Empty, Scroll, Section, Shown } from '../../parts/basics.tsx';
import { showBytes, showNumber } from '../../parts/format.ts';
import { to } from '../../routing/address.ts';

const needs = `p.command('train', {}, ['python', 'train.py'], {
  resources: { cpuCores: 2, memoryBytes: 4 * 2 ** 30 },
});`;

/** The steps that wait for room, in the order in which they will start. */
export function Queue(): JSX.Element {
  const queue = useResource('queue', (signal) => api.executions.queue({}, { signal }), {
    on: ['step.', 'pipeline.', 'resource.'],
  });
  return (
    <Section title="Queue">
      <Shown of={queue}>
        {({ steps }) =>
          steps.length === 0 ? (
            <Empty title="No step waits for room" />
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th class="number">Place</th>
                    <th>Step</th>
                    <th>Execution</th>
                    <th class="number">Priority</th>
                    <th>Since</th>
                    <th>Waits for</th>
                  </tr>
                </thead>
                <tbody>
                  {steps.map((each) => (
                    <tr key={`${each.executionId} ${each.step} ${each.item ?? ''}`}>
                      <td class="number">{each.position}</td>
                      <td>
                        {each.step}
                        {each.item === undefined ? '' : `[${each.item}]`}
                      </td>
                      <td>
                        <a href={to('pipelines', each.pipeline, each.executionId)}>
                          {each.pipeline} <code>…{each.executionId.slice(-8)}</code>
                        </a>
                      </td>
                      <td class="number">{each.priority}</td>
                      <td>
                        <Ago at={each.since} />
                      </td>
                      <td class="wrap">{each.reason}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Shown>
    </Section>
  );
}

/** The machines that steps run on, with what is taken of them and by whom. */
export function Resources(): JSX.Element {
  const resources = useResource('resources', (signal) => api.executions.resources({}, { signal }), {
    on: ['step.'],
  });
  return (
    <Section title="Resources">
      <Shown of={resources}>
        {({ pools }) =>
          pools.length === 0 ? (
            <Empty title="No executor has said what it has" code={needs}>
              <p>Machines are shared out where steps say what they need and executors run them:</p>
            </Empty>
          ) : (
            pools.map(({ pool, executors, machines, total, used, holders, seenAt }) => (
              <div key={pool} class="pool">
                <h3>
                  {pool}{' '}
                  <span class="faint">
                    {executors.join(', ')}, seen <Ago at={seenAt} />
                  </span>
                </h3>
                <ul class="uses">
                  {Object.entries(total).map(([name, amount]) => (
                    <li key={name}>
                      <span>{nameOf(name)}</span>
                      <progress
                        value={used[name] ?? 0}
                        max={Math.max(amount, 1)}
                        aria-label={nameOf(name)}
                      />
                      <span>
                        {amountOf(name, used[name] ?? 0)} of {amountOf(name, amount)}
                      </span>
                    </li>
                  ))}
                </ul>
                <p class="faint">
                  {machines
                    .map(
                      (each) =>
                        `${each.name}: ${showNumber(each.cpuCores)} cores, ${showBytes(each.memoryBytes)}${each.devices.length === 0 ? '' : `, ${each.devices.map(({ type }) => type).join(' ')}`}`,
                    )
                    .join(' · ')}
                </p>
                {holders.length > 0 && (
                  <p>
                    Taken by{' '}
                    {holders
                      .map(({ step, executionId }) => `${step} of …${executionId.slice(-8)}`)
                      .join(', ')}
                  </p>
                )}
              </div>
            ))
          )
        }
      </Shown>
    </Section>
  );
}

function nameOf(name: string): string {
  if (name === 'cpuMilli') return 'CPU cores';
  return name.replace(/Bytes$/, '');
}

function amountOf(name: string, amount: number): string {
  if (name === 'cpuMilli') return showNumber(amount / 1000);
  return name.endsWith('Bytes') ? showBytes(amount) : showNumber(amount);
}
