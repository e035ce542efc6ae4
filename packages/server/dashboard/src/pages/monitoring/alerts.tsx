import type { Alert } from '@keelson/core';
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useAction, useResource } from '../../api/resource.ts';
import { useLack } from '../../api/rights.ts';
import { Act } from '../../parts/act.tsx';
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
  const lack = useLack(['alerts.acknowledge', `alert:${alert.id}`]);
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
              <button
                type="button"
                disabled={action.busy.value || lack !== undefined}
                title={lack}
                onClick={() => void acknowledge()}
              >
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
  const { deployment, rule } = alert;
  const chosen = useSignal('1');
  return (
    <Act
      name="Silence"
      title={`Silence “${rule}” of ${deployment}?`}
      consequence="Nobody is told of it while it lasts. It is recorded, and others see it."
      does={['alerts.silence']}
      ask="Why"
      isNeeded={true}
      run={(reason) =>
        api.alerts.silence({
          body: { match: { deployment, rule }, reason, forMs: Number(chosen.value) * 3_600_000 },
        })
      }
    >
      <label>
        For{' '}
        <select
          value={chosen.value}
          onChange={({ currentTarget }) => {
            chosen.value = currentTarget.value;
          }}
        >
          {hours.map((each) => (
            <option key={each} value={String(each)}>
              {each < 24 ? `${each} h` : `${each / 24} d`}
            </option>
          ))}
        </select>
      </label>
    </Act>
  );
}
