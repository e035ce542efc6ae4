import type { Alert } from '@keelson/core';
import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { api } from '../../api/client.ts';
import { useAction, useResource } from '../../api/resource.ts';
import { Ago, Problem, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { to } from '../../routing/address.ts';

/** What went wrong with a deployment, and what can be done about being told. */
export function Alerts({
  name,
  title,
  isActive,
}: {
  readonly name: string;
  readonly title: string;
  readonly isActive: boolean;
}): JSX.Element {
  const alerts = useResource(
    `alerts ${name} ${isActive}`,
    (signal) =>
      api.monitoring.alerts(
        { name, ...(isActive ? { status: 'active' } : { since: '30d' }) },
        { signal },
      ),
    { on: ['alert.'] },
  );
  return (
    <Section title={title}>
      <Shown of={alerts}>
        {({ alerts: all }) =>
          all.length === 0 ? (
            <p class="faint">{isActive ? 'None is active.' : 'None in the last 30 days.'}</p>
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th>State</th>
                    <th>Severity</th>
                    <th>What</th>
                    <th>Since</th>
                    <th />
                  </tr>
                </thead>
                <tbody>
                  {[...all].reverse().map((alert) => (
                    <AlertRow key={alert.id} alert={alert} reload={alerts.reload} />
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

function AlertRow({
  alert,
  reload,
}: {
  readonly alert: Alert;
  readonly reload: () => void;
}): JSX.Element {
  const action = useAction();
  const isOver = alert.state === 'RESOLVED';
  const acknowledge = async (): Promise<void> => {
    const done = await action.run(() =>
      alert.acknowledged === undefined
        ? api.alerts.acknowledge({ alertId: alert.id, body: {} })
        : api.alerts.unacknowledge({ alertId: alert.id }),
    );
    if (done) reload();
  };
  return (
    <tr>
      <td>
        <Status
          of={alert.state}
          tone={alert.state === 'FIRING' ? 'bad' : isOver ? 'good' : 'warn'}
        />
        {alert.acknowledged !== undefined && !isOver && (
          <span class="faint"> seen by {alert.acknowledged.by}</span>
        )}
      </td>
      <td>{alert.severity.toLowerCase()}</td>
      <td class="wrap">
        {alert.summary}
        {alert.resolution !== undefined && <span class="faint"> {alert.resolution}</span>}
        {action.error.value !== undefined && <Problem error={action.error.value} />}
      </td>
      <td>
        <Ago at={alert.firstAt} />
      </td>
      <td>
        <span class="row">
          <a href={to('events', { correlation: alert.correlationId })}>What followed</a>
          {!isOver && (
            <>
              <button type="button" disabled={action.busy.value} onClick={() => void acknowledge()}>
                {alert.acknowledged === undefined ? 'Acknowledge' : 'Take back'}
              </button>
              <Silencing alert={alert} />
            </>
          )}
        </span>
      </td>
    </tr>
  );
}

const hours = [1, 8, 24, 24 * 7] as const;

function Silencing({ alert }: { readonly alert: Alert }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const form = useRef<HTMLFormElement>(null);
  const action = useAction();
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const given = new FormData(form.current as HTMLFormElement);
    const done = await action.run(() =>
      api.alerts.silence({
        body: {
          match: { deployment: alert.deployment, rule: alert.rule },
          reason: String(given.get('reason')),
          forMs: Number(given.get('hours')) * 3_600_000,
        },
      }),
    );
    if (done) dialog.current?.close();
  };
  return (
    <>
      <button type="button" onClick={() => dialog.current?.showModal()}>
        Silence …
      </button>
      <dialog ref={dialog} aria-label="Silence">
        <form ref={form} onSubmit={(event) => void submit(event)}>
          <h2>
            Silence “{alert.rule}” of {alert.deployment}
          </h2>
          <p>Nobody is told of it while it lasts. It is recorded, and others see it.</p>
          <p>
            <label>
              For{' '}
              <select name="hours">
                {hours.map((each) => (
                  <option key={each} value={each}>
                    {each < 24 ? `${each} h` : `${each / 24} d`}
                  </option>
                ))}
              </select>
            </label>
          </p>
          <p>
            <label>
              Why
              <input type="text" name="reason" required />
            </label>
          </p>
          {action.error.value !== undefined && <Problem error={action.error.value} />}
          <span class="row">
            <button type="submit" class="main" disabled={action.busy.value}>
              Silence
            </button>
            <button type="button" onClick={() => dialog.current?.close()}>
              Leave it
            </button>
          </span>
        </form>
      </dialog>
    </>
  );
}
