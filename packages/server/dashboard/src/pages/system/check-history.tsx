import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Shown, Status } from '../../parts/basics.tsx';
import { to } from '../../routing/address.ts';

/** How a part changed, and what was done about its check. */
export function CheckHistory({
  check,
  component,
}: {
  readonly check: string;
  readonly component: string;
}): JSX.Element {
  const history = useResource(
    `history of ${check}`,
    async (signal) => {
      const [changes, mending] = await Promise.all([
        api.events.list(
          {
            ...{ type: ['component.health_changed'], subject: [`component:${component}`] },
            limit: 1000,
          },
          { signal },
        ),
        api.system.recoveries({ check, limit: 20 }, { signal }),
      ]);
      return { changes: changes.events.toReversed().slice(0, 20), ...mending };
    },
    { on: ['component.', 'recovery.'] },
  );
  return (
    <Shown of={history}>
      {({ changes, recoveries }) => (
        <div class="grid history">
          <div>
            <h3>Changes of {component}</h3>
            {changes.length === 0 && <p class="faint">It has always been as it is.</p>}
            <ul>
              {changes.map(({ id, at, payload, correlationId }) => (
                <li key={id}>
                  <Ago at={at} /> <Status of={String(payload['newStatus'])} />{' '}
                  {String(payload['message'])}{' '}
                  <a href={to('events', 'correlation', correlationId)}>all of it</a>
                </li>
              ))}
            </ul>
          </div>
          <div>
            <h3>What was done about it</h3>
            {recoveries.length === 0 && <p class="faint">Nothing had to be.</p>}
            <ul>
              {recoveries.map(({ id, startedAt, recovery, outcome, message }) => (
                <li key={id}>
                  <Ago at={startedAt} />{' '}
                  <Status of={outcome} tone={outcome === 'SUCCESS' ? 'good' : 'warn'} /> {recovery}:{' '}
                  {message}
                </li>
              ))}
            </ul>
          </div>
        </div>
      )}
    </Shown>
  );
}
