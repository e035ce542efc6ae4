import type { JSX } from 'preact';
import { Heading } from '../../parts/basics.tsx';
import { address, to, view } from '../../routing/address.ts';
import { Correlation } from './correlation.tsx';
import { DeadLetters } from './dead-letters.tsx';
import { EventLog } from './event-log.tsx';
import './events.css';
import { LineagePage } from './lineage.tsx';
import { Subscriptions } from './subscriptions.tsx';

const tabs = [
  ['', 'Log'],
  ['subscriptions', 'Subscriptions'],
  ['dead-letters', 'Dead letters'],
  ['lineage', 'Lineage'],
] as const;

/** What happened: the log, one correlation, who hears of it, what was given up, and what came of what. */
export function Events(): JSX.Element {
  const [, part, id] = address.value.path;
  if (part === 'correlation' && id !== undefined)
    return <Correlation key={id} correlationId={id} />;
  const tab = view('tab');
  return (
    <div class="events">
      <Heading title="Events" />
      <nav class="tabs" aria-label="Of events">
        {tabs.map(([name, title]) => (
          <a
            key={name}
            href={to('events', { tab: name })}
            aria-current={tab === name ? 'page' : undefined}
          >
            {title}
          </a>
        ))}
      </nav>
      {tab === '' && <EventLog />}
      {tab === 'subscriptions' && <Subscriptions />}
      {tab === 'dead-letters' && <DeadLetters />}
      {tab === 'lineage' && <LineagePage />}
    </div>
  );
}
