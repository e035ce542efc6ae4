import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useAction, useResource } from '../../api/resource.ts';
import { Heading, Problem, Section, Shown, Status } from '../../parts/basics.tsx';
import { go, to, view } from '../../routing/address.ts';
import { Checks } from './checks.tsx';
import { Figures } from './figures.tsx';
import { Incidents, Levels, Quotas, Recoveries } from './keeping.tsx';
import './system.css';

const tabs = [
  ['', 'Health'],
  ['work', 'Loops and work'],
  ['storage', 'Storage and quotas'],
  ['incidents', 'Incidents'],
] as const;

/** How the platform itself does. */
export function System(): JSX.Element {
  const tab = view('tab');
  return (
    <div class="system">
      <Heading title="System" actions={<Find />} />
      <nav class="tabs" aria-label="Of the system">
        {tabs.map(([name, title]) => (
          <a
            key={name}
            href={to('system', { tab: name })}
            aria-current={tab === name ? 'page' : undefined}
          >
            {title}
          </a>
        ))}
      </nav>
      {tab === '' && (
        <>
          <Health />
          <Levels />
          <Recoveries />
        </>
      )}
      {tab === 'work' && <Figures of="work" />}
      {tab === 'storage' && (
        <>
          <Quotas />
          <Figures of="storage" />
        </>
      )}
      {tab === 'incidents' && <Incidents />}
    </div>
  );
}

function Health(): JSX.Element {
  const health = useResource('health', (signal) => api.system.health({}, { signal }), {
    on: ['component.', 'health.', 'recovery.', 'storage.'],
  });
  const { busy, error, run } = useAction();
  const look = async (): Promise<void> => {
    if (await run(() => api.system.health({ fresh: true }))) health.reload();
  };
  return (
    <Section
      title={
        health.data === undefined ? (
          'Checks'
        ) : (
          <>
            Checks <Status of={health.data.status} />
          </>
        )
      }
      actions={
        <button type="button" disabled={busy.value} onClick={() => void look()}>
          {busy.value ? 'Under way …' : 'Run all checks now'}
        </button>
      }
    >
      {error.value !== undefined && <Problem error={error.value} />}
      <Shown of={health}>
        {({ checks }) => (
          <>
            {checks.every(({ at }) => at === undefined) && (
              <p>
                No check has run in this process yet: <code>platform.start()</code> has them run
                when they are due.
              </p>
            )}
            <Checks checks={checks} />
          </>
        )}
      </Shown>
    </Section>
  );
}

/** Goes to all that happened under a correlation id. */
function Find(): JSX.Element {
  const text = useSignal('');
  return (
    <form
      class="find"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.value.trim() !== '') go(to('events', 'correlation', text.value.trim()));
      }}
    >
      <input
        type="text"
        aria-label="Correlation id"
        placeholder="Correlation id"
        spellcheck={false}
        value={text.value}
        onInput={({ currentTarget }) => {
          text.value = currentTarget.value;
        }}
      />
      <button type="submit">Look</button>
    </form>
  );
}
