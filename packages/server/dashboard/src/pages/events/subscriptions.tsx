import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Empty, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { showDuration } from '../../parts/format.ts';
import { to } from '../../routing/address.ts';

/** Who hears of what, how far behind, and what waits. */
export function Subscriptions(): JSX.Element {
  const subscriptions = useResource(
    'subscriptions',
    (signal) => api.events.subscriptions({}, { signal }),
    { on: [''] },
  );
  return (
    <Section title="Subscriptions">
      <Shown of={subscriptions}>
        {({ subscriptions: all }) =>
          all.length === 0 ? (
            <Empty
              title="Nobody subscribes"
              code={`await platform.events.subscribe('mail', { types: ['run.completed'] }, sendMail);`}
            />
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th>Subscription</th>
                    <th>State</th>
                    <th class="number">Behind</th>
                    <th class="number">Dead letters</th>
                    <th>Hears</th>
                    <th>Waits</th>
                    <th>Replays</th>
                  </tr>
                </thead>
                <tbody>
                  {all.map(({ name, types, lagMs, deadLetters, parked, replays }) => (
                    <tr key={name}>
                      <td>{name}</td>
                      <td>
                        <Status {...stateOf(lagMs, parked.length, deadLetters)} />
                      </td>
                      <td class="number">{lagMs === 0 ? '–' : showDuration(lagMs)}</td>
                      <td class="number">
                        {deadLetters === 0 ? (
                          '0'
                        ) : (
                          <a href={to('events', { tab: 'dead-letters', subscription: name })}>
                            {deadLetters}
                          </a>
                        )}
                      </td>
                      <td class="wrap types">{types.join(', ')}</td>
                      <td class="wrap">
                        {parked.slice(0, 5).map((each) => (
                          <p key={each.subject}>
                            {each.subject} ({each.waitsFor.toLowerCase()}, attempt {each.attempts}
                            {each.nextAttemptAt !== undefined && (
                              <>
                                , next <Ago at={each.nextAttemptAt} />
                              </>
                            )}
                            ) {each.error !== undefined && <span class="bad">{each.error}</span>}
                          </p>
                        ))}
                        {parked.length > 5 && `and ${parked.length - 5} more`}
                      </td>
                      <td class="wrap">
                        {replays
                          .map(
                            (each) =>
                              `${each.state.toLowerCase()}: ${each.handled} handled, ${each.failed} failed`,
                          )
                          .join('; ')}
                      </td>
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

function stateOf(
  lagMs: number,
  parked: number,
  deadLetters: number,
): { readonly of: string; readonly tone: 'good' | 'bad' | 'warn' | 'busy' } {
  if (deadLetters > 0) return { of: 'gave up events', tone: 'bad' };
  if (parked > 0) return { of: 'tries again', tone: 'warn' };
  return lagMs > 5_000 ? { of: 'behind', tone: 'busy' } : { of: 'up to date', tone: 'good' };
}
