import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Act } from '../../parts/act.tsx';
import { Ago, Empty, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { showExactly } from '../../parts/format.ts';
import { go, to } from '../../routing/address.ts';

interface Of {
  /** All when left out. */
  readonly pipeline?: string;
}

const byClock = `await platform.pipelines.schedules.put({
  name: 'workdays',
  pipeline: 'nightly',
  cron: '0 6 * * 1-5',
  timeZone: 'Europe/Berlin',
});`;
const byEvent = `definePipeline('nightly', {
  version: '1.0.0',
  triggers: [{ name: 'drift', on: 'drift.detected', when: 'event.payload.severity == "HIGH"' }],
}, …);`;

/** What starts pipelines by the clock, and what can be done about it. */
export function Schedules({ pipeline }: Of): JSX.Element {
  const schedules = useResource(
    `schedules ${pipeline ?? ''}`,
    (signal) => api.pipelines.schedules(pipeline === undefined ? {} : { pipeline }, { signal }),
    { on: ['pipeline.started'] },
  );
  return (
    <Section title="Schedules">
      <Shown of={schedules}>
        {({ schedules: all }) =>
          all.length === 0 ? (
            <Empty title="Nothing starts by the clock" code={byClock}>
              <p>A schedule starts a pipeline at times of its zone, and catches up on request:</p>
            </Empty>
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th>Schedule</th>
                    {pipeline === undefined && <th>Pipeline</th>}
                    <th>State</th>
                    <th>Times</th>
                    <th>Next</th>
                    <th>Last</th>
                    <th>
                      <span class="hidden">What can be done</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {all.map((each) => {
                    const { name, active, cron, timeZone = 'UTC', lastFailure, next } = each;
                    return (
                      <tr key={name}>
                        <td>{name}</td>
                        {pipeline === undefined && (
                          <td>
                            <a href={to('pipelines', each.pipeline)}>{each.pipeline}</a>
                          </td>
                        )}
                        <td>
                          <Status of={active ? 'ACTIVE' : 'PAUSED'} />
                        </td>
                        <td>
                          <code>{cron}</code> <span class="faint">{timeZone}</span>
                        </td>
                        <td title={next.map(showExactly).join('\n')}>
                          {active ? <Ago at={each.nextAt} /> : '–'}
                        </td>
                        <td class="wrap">
                          <Ago at={each.lastAt} />
                          {lastFailure !== undefined && (
                            <span class="status bad"> ▲ {lastFailure.message}</span>
                          )}
                        </td>
                        <td>
                          <span class="actions">
                            <Act
                              name="Start now"
                              does={['pipelines.fireSchedule']}
                              title={`Start ${each.pipeline} now?`}
                              consequence="It starts once, outside its times, with the schedule's parameters."
                              run={async () => {
                                const begun = await api.pipelines.fireSchedule({ name });
                                go(to('pipelines', begun.pipeline, begun.id));
                              }}
                            />
                            <Act
                              name={active ? 'Pause' : 'Resume'}
                              does={['pipelines.pauseSchedule']}
                              title={`${active ? 'Pause' : 'Resume'} ${name}?`}
                              consequence={
                                active
                                  ? 'It fires no more until it is resumed; times that pass meanwhile are not made up for.'
                                  : 'It fires from now on.'
                              }
                              run={() =>
                                active
                                  ? api.pipelines.pauseSchedule({ name })
                                  : api.pipelines.resumeSchedule({ name })
                              }
                              done={schedules.reload}
                            />
                          </span>
                        </td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Shown>
    </Section>
  );
}

/** What starts pipelines by events and webhooks. */
export function Triggers({ pipeline }: Of): JSX.Element {
  const triggers = useResource(
    `triggers ${pipeline ?? ''}`,
    (signal) => api.pipelines.allTriggers(pipeline === undefined ? {} : { pipeline }, { signal }),
    { on: ['pipeline.started'] },
  );
  return (
    <Section title="Triggers">
      <Shown of={triggers}>
        {({ triggers: all }) =>
          all.length === 0 ? (
            <Empty title="Nothing starts by an event or a webhook" code={byEvent}>
              <p>A trigger hears events and starts its pipeline where its condition is true:</p>
            </Empty>
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th>Trigger</th>
                    {pipeline === undefined && <th>Pipeline</th>}
                    <th>State</th>
                    <th>Hears</th>
                    <th>When</th>
                    <th>Last failure</th>
                    <th>
                      <span class="hidden">What can be done</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {all.map((each) => {
                    const { name, active, on, when, lastFailure } = each;
                    return (
                      <tr key={name}>
                        <td>{name}</td>
                        {pipeline === undefined && (
                          <td>
                            <a href={to('pipelines', each.pipeline)}>{each.pipeline}</a>
                          </td>
                        )}
                        <td>
                          <Status of={active ? 'ACTIVE' : 'PAUSED'} />
                        </td>
                        <td>
                          {on === undefined ? (
                            'a webhook'
                          ) : (
                            <a href={to('events', { type: on })}>{on}</a>
                          )}
                        </td>
                        <td class="wrap">{when !== undefined && <code>{when}</code>}</td>
                        <td class="wrap">{lastFailure?.message ?? '–'}</td>
                        <td>
                          <Act
                            name={active ? 'Pause' : 'Resume'}
                            does={['webhooks.pause']}
                            title={`${active ? 'Pause' : 'Resume'} ${name}?`}
                            consequence={
                              active
                                ? 'Events that come meanwhile start nothing, also later.'
                                : 'Events from now on start it.'
                            }
                            run={() =>
                              active
                                ? api.webhooks.pause({ trigger: name })
                                : api.webhooks.resume({ trigger: name })
                            }
                            done={triggers.reload}
                          />
                        </td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Shown>
    </Section>
  );
}
