import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Empty, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { showBytes, showDuration, showNumber, showShare } from '../../parts/format.ts';
import { to } from '../../routing/address.ts';

/** How available each part was, and what of the error budget is left. */
export function Levels(): JSX.Element {
  const levels = useResource('service levels', (signal) =>
    api.system.serviceLevels({}, { signal }),
  );
  return (
    <Section title="Availability, 30 days">
      <Shown of={levels}>
        {({ serviceLevels }) => (
          <Scroll>
            <table>
              <thead>
                <tr>
                  <th>Part</th>
                  <th>State</th>
                  <th class="number">Available</th>
                  <th class="number">Goal</th>
                  <th class="number">Probes</th>
                  <th class="number">Bad</th>
                  <th class="number">Error budget left</th>
                </tr>
              </thead>
              <tbody>
                {serviceLevels.map(({ part, availability, goal, probes, bad, errorBudgetLeft }) => (
                  <tr key={part}>
                    <td>{part}</td>
                    <td>
                      <Status {...levelOf(availability, goal)} />
                    </td>
                    <td class="number">{showShare(availability)}</td>
                    <td class="number">{showShare(goal)}</td>
                    <td class="number">{showNumber(probes)}</td>
                    <td class="number">{showNumber(bad)}</td>
                    <td class="number">{showShare(errorBudgetLeft)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroll>
        )}
      </Shown>
    </Section>
  );
}

/** Attempts to mend faults. */
export function Recoveries(): JSX.Element {
  const recoveries = useResource(
    'recoveries',
    (signal) => api.system.recoveries({ limit: 50 }, { signal }),
    { on: ['recovery.', 'component.'] },
  );
  return (
    <Section title="Recoveries">
      <Shown of={recoveries}>
        {({ recoveries: all }) =>
          all.length === 0 ? (
            <Empty title="Nothing had to be mended">
              <p>
                When a check stands at a fault, the platform tries what it knows, and says so here.
              </p>
            </Empty>
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th>When</th>
                    <th>Check</th>
                    <th>What was done</th>
                    <th>Outcome</th>
                    <th class="number">Attempt</th>
                    <th class="number">Took</th>
                    <th>What came of it</th>
                  </tr>
                </thead>
                <tbody>
                  {all.map((each) => (
                    <tr key={each.id}>
                      <td>
                        <Ago at={each.startedAt} />
                      </td>
                      <td>
                        <a href={to('system', { check: each.check })}>{each.check}</a>
                      </td>
                      <td>{each.recovery}</td>
                      <td>
                        <Status
                          of={each.outcome}
                          tone={each.outcome === 'SUCCESS' ? 'good' : 'warn'}
                        />
                      </td>
                      <td class="number">{each.attempt}</td>
                      <td class="number">
                        {each.endedAt === undefined
                          ? '–'
                          : showDuration(each.endedAt - each.startedAt)}
                      </td>
                      <td class="wrap">{each.message}</td>
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

/** What the workspace may use up, and what of it is used. */
export function Quotas(): JSX.Element {
  const quotas = useResource('quotas', (signal) => api.system.quotas({}, { signal }), {
    on: ['storage.', 'quota.'],
  });
  return (
    <Section title="Quotas">
      <Shown of={quotas}>
        {({ quotas: all }) =>
          all.length === 0 ? (
            <Empty
              title="Nothing is limited"
              code={`await platform.operations.quotas.set({ resource: 'storage', limit: 50 * 2 ** 30 });`}
            >
              <p>A quota warns at 80 % and lets nothing new begin at its limit:</p>
            </Empty>
          ) : (
            <ul class="uses">
              {all.map(({ resource, used, limit, per, fullAt }) => (
                <li key={resource}>
                  <span>
                    {resource}
                    {per !== undefined && ` each ${per}`}
                  </span>
                  <progress value={used} max={Math.max(limit, 1)} aria-label={resource} />
                  <span>
                    {amountOf(resource, used)} of {amountOf(resource, limit)} (
                    {showShare(limit === 0 ? undefined : used / limit)})
                    {fullAt !== undefined && (
                      <>
                        , full <Ago at={fullAt} />
                      </>
                    )}
                  </span>
                </li>
              ))}
            </ul>
          )
        }
      </Shown>
    </Section>
  );
}

/** What went wrong, with what opened it. */
export function Incidents(): JSX.Element {
  const incidents = useResource('incidents', (signal) => api.system.incidents({}, { signal }), {
    on: ['incident.'],
  });
  return (
    <Section title="Incidents">
      <Shown of={incidents}>
        {({ incidents: all }) =>
          all.length === 0 ? (
            <Empty
              title="No incident"
              code={`await platform.operations.incidents.open({ title: 'Scores are late', severity: 'CRITICAL' });`}
            >
              <p>Critical alerts and rollbacks open one; people do so, too:</p>
            </Empty>
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th>Opened</th>
                    <th>Incident</th>
                    <th>State</th>
                    <th>Severity</th>
                    <th>Concerns</th>
                    <th>Began with</th>
                    <th>Learned</th>
                  </tr>
                </thead>
                <tbody>
                  {all.map((each) => (
                    <tr key={each.id}>
                      <td>
                        <Ago at={each.openedAt} />
                      </td>
                      <td class="wrap">
                        <a href={to('events', 'correlation', each.correlationId)}>{each.title}</a>
                      </td>
                      <td>
                        <Status of={each.state} tone={each.state === 'OPEN' ? 'bad' : 'good'} />
                      </td>
                      <td>{each.severity.toLowerCase()}</td>
                      <td>{each.concerns ?? '–'}</td>
                      <td class="wrap">{each.triggers.map(({ text }) => text).join('; ')}</td>
                      <td class="wrap">{each.review?.outcome ?? 'review is open'}</td>
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

function amountOf(resource: string, amount: number): string {
  if (resource === 'storage') return showBytes(amount);
  return resource === 'compute' ? showDuration(amount) : showNumber(amount);
}

function levelOf(
  availability: number | undefined,
  goal: number,
): { readonly of: string; readonly tone: 'good' | 'bad' | 'quiet' } {
  if (availability === undefined) return { of: 'no probe yet', tone: 'quiet' };
  return availability >= goal
    ? { of: 'goal is kept', tone: 'good' }
    : { of: 'goal is missed', tone: 'bad' };
}
