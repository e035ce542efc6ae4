import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import type { EventQuery, WireEvent } from '../../api/answers.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Empty, Scroll, Section, Shown } from '../../parts/basics.tsx';
import { setView, to, view } from '../../routing/address.ts';
import { readNewest, timeFrom } from './newest-events.ts';
import { subjectLink } from './subject-link.ts';

const listen = `await platform.events.subscribe(
  'mail',
  { types: ['run.completed', 'drift.detected'] },
  async (event) => { await sendMail(event.subject, event.payload); },
);
platform.start();`;

const fields = [
  ['type', 'Type', 'run.completed'],
  ['subject', 'Subject', 'run:0198…'],
  ['correlation', 'Correlation id', ''],
  ['since', 'Since', '24h or 2026-01-31'],
  ['until', 'Until', '2026-02-01'],
] as const;

/** What happened, newest first, filtered as the address says; live. */
export function EventLog(): JSX.Element {
  const limit = Math.min(1000, Number(view('limit', '100')) || 100);
  const query = queryOf();
  const problem = timeProblem(query);
  const events = useResource(
    `events ${JSON.stringify(query)} ${limit}`,
    async (signal) =>
      problem === undefined
        ? readNewest(query, limit, signal)
        : { events: [] as readonly WireEvent[], isAll: true },
    { on: [''], matters: (event) => view('live') !== 'no' && matches(event, query) },
  );
  const isFiltered = Object.keys(query).length > 0;
  return (
    <Section
      title="Log"
      actions={
        <label>
          <input
            type="checkbox"
            checked={view('live') !== 'no'}
            onChange={({ currentTarget }) =>
              setView({ live: currentTarget.checked ? undefined : 'no' }, 'replace')
            }
          />{' '}
          Live
        </label>
      }
    >
      <Filter />
      {problem !== undefined && (
        <p class="status bad" role="alert">
          ▲ {problem}
        </p>
      )}
      <Shown of={events}>
        {({ events: all, isAll }) =>
          all.length === 0 ? (
            <Empty
              title={isFiltered ? 'No event is like this' : 'Nothing happened yet'}
              {...(isFiltered ? {} : { code: listen })}
            >
              {!isFiltered && <p>All that changes is told as an event; this hears of some:</p>}
            </Empty>
          ) : (
            <>
              <EventTable events={all} />
              {!isAll && limit < 1000 && (
                <button
                  type="button"
                  onClick={() => setView({ limit: String(Math.min(1000, limit * 3)) }, 'replace')}
                >
                  Show more
                </button>
              )}
              {!isAll && limit >= 1000 && (
                <p class="faint">The newest 1,000 are shown: narrow them by type or time.</p>
              )}
            </>
          )
        }
      </Shown>
    </Section>
  );
}

function Filter(): JSX.Element {
  return (
    <form class="filter-fields" onSubmit={(event) => event.preventDefault()}>
      {fields.map(([key, title, example]) => (
        <label key={key}>
          {title}
          <input
            type="text"
            placeholder={example}
            spellcheck={false}
            value={view(key)}
            onChange={({ currentTarget }) => setView({ [key]: currentTarget.value.trim() })}
          />
        </label>
      ))}
      {fields.some(([key]) => view(key) !== '') && (
        <button
          type="button"
          onClick={() => setView(Object.fromEntries(fields.map(([key]) => [key, undefined])))}
        >
          Clear
        </button>
      )}
    </form>
  );
}

/** Events, one a line, each with its payload behind it. */
export function EventTable({ events }: { readonly events: readonly WireEvent[] }): JSX.Element {
  const open = useSignal<string | undefined>(undefined);
  return (
    <Scroll>
      <table class="event-table">
        <thead>
          <tr>
            <th>When</th>
            <th>Type</th>
            <th>Subject</th>
            <th>By</th>
            <th>Correlation</th>
            <th>Payload</th>
          </tr>
        </thead>
        <tbody>
          {events.map((event) => {
            const { id, at, type, subject, principal, correlationId, payload } = event;
            const link = subjectLink(event);
            const isOpen = open.value === id;
            return [
              <tr key={id}>
                <td>
                  <Ago at={at} />
                </td>
                <td>
                  <button
                    type="button"
                    class="plain"
                    title={`Only ${type}`}
                    onClick={() => setView({ type })}
                  >
                    {type}
                  </button>
                </td>
                <td class="subject" title={subject}>
                  {link === undefined ? subject : <a href={link}>{subject}</a>}
                </td>
                <td>{principal}</td>
                <td>
                  <a href={to('events', 'correlation', correlationId)} title={correlationId}>
                    {correlationId.length > 14 ? `…${correlationId.slice(-8)}` : correlationId}
                  </a>
                </td>
                <td class="payload">
                  <button
                    type="button"
                    class="plain"
                    aria-expanded={isOpen}
                    onClick={() => {
                      open.value = isOpen ? undefined : id;
                    }}
                  >
                    {isOpen ? 'hide' : 'show'}
                  </button>{' '}
                  <span class="faint">{JSON.stringify(payload).slice(0, 90)}</span>
                </td>
              </tr>,
              isOpen && (
                <tr key={`${id} open`}>
                  <td colSpan={6}>
                    <pre class="payload" tabIndex={0}>
                      {JSON.stringify(event, undefined, 2)}
                    </pre>
                  </td>
                </tr>
              ),
            ];
          })}
        </tbody>
      </table>
    </Scroll>
  );
}

function queryOf(): EventQuery {
  const list = (text: string): readonly string[] =>
    text.split(/[\s,]+/).filter((each) => each !== '');
  const [type, subject] = [list(view('type')), list(view('subject'))];
  const [correlationId, since, until] = [view('correlation'), view('since'), view('until')];
  return {
    ...(type.length === 0 ? {} : { type }),
    ...(subject.length === 0 ? {} : { subject }),
    ...(correlationId === '' ? {} : { correlationId }),
    ...(since === '' ? {} : { since }),
    ...(until === '' ? {} : { until }),
  };
}

function matches(event: WireEvent, { type, subject, correlationId, until }: EventQuery): boolean {
  return (
    (type?.includes(event.type) ?? true) &&
    (subject?.includes(event.subject) ?? true) &&
    (correlationId === undefined || correlationId === event.correlationId) &&
    (until === undefined || event.at < timeFrom(until))
  );
}

function timeProblem({ since, until }: EventQuery): string | undefined {
  const wrong = [since, until].find((each) => each !== undefined && Number.isNaN(timeFrom(each)));
  if (wrong === undefined) return undefined;
  return `${JSON.stringify(wrong)} is no time: write how long ago, such as 30m, 24h or 7d, or a date, such as 2026-01-31T08:00.`;
}
