import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Act } from '../../parts/act.tsx';
import { Empty, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { setView, to, view } from '../../routing/address.ts';

/** What subscriptions have given up, with why, to be handed over again. */
export function DeadLetters(): JSX.Element {
  const subscription = view('subscription');
  const letters = useResource(
    `dead letters ${subscription}`,
    (signal) => api.events.deadLetters(subscription === '' ? {} : { subscription }, { signal }),
    // A handler's end is no event of its own: whatever happens next may be it.
    { on: [''] },
  );
  return (
    <Section
      title={subscription === '' ? 'Dead letters' : `Dead letters of ${subscription}`}
      actions={
        <>
          {subscription !== '' && (
            <button type="button" onClick={() => setView({ subscription: undefined })}>
              Of all
            </button>
          )}
          {subscription !== '' && (letters.data?.deadLetters.length ?? 0) > 0 && (
            <Act
              name="Replay all"
              does={['events.replayDeadLetters']}
              tone="main"
              title={`Hand all dead letters of ${subscription} over again?`}
              consequence="Its handler sees each of these events once more, in their order; what fails again comes back here."
              run={() => api.events.replayDeadLetters({ body: { subscription } })}
              done={letters.reload}
            />
          )}
        </>
      }
    >
      <Shown of={letters}>
        {({ deadLetters }) =>
          deadLetters.length === 0 ? (
            <Empty title="Nothing was given up">
              <p>
                An event whose handler fails as often as its subscription allows becomes a dead
                letter: it is kept here, with the error, until it is replayed.
              </p>
            </Empty>
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th>Subscription</th>
                    <th>Event</th>
                    <th>Subject</th>
                    <th>State</th>
                    <th class="number">Attempts</th>
                    <th>Error</th>
                    <th>
                      <span class="hidden">What can be done</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {deadLetters.map((each) => (
                    <tr key={each.id}>
                      <td>
                        <button
                          type="button"
                          class="plain"
                          onClick={() => setView({ subscription: each.subscription })}
                        >
                          {each.subscription}
                        </button>
                      </td>
                      <td>
                        <a href={to('events', { type: each.type, subject: each.subject })}>
                          {each.type}
                        </a>
                      </td>
                      <td class="subject">{each.subject}</td>
                      <td>
                        <Status of={each.state} tone={each.state === 'GIVEN_UP' ? 'bad' : 'busy'} />
                        {each.held && <span class="faint"> later events wait</span>}
                      </td>
                      <td class="number">{each.attempts}</td>
                      <td class="wrap error">{each.error}</td>
                      <td>
                        <Act
                          name="Replay"
                          does={['events.replayDeadLetters']}
                          title={`Hand ${each.type} over to ${each.subscription} again?`}
                          consequence={`Its handler sees the event once more. It failed ${each.attempts} times with: ${each.error}`}
                          refused={each.state === 'REPLAYING' ? 'It is being replayed.' : undefined}
                          run={() =>
                            api.events.replayDeadLetters({
                              body: { subscription: each.subscription, ids: [each.id] },
                            })
                          }
                          done={letters.reload}
                        />
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
