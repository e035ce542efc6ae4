import type { JSX } from 'preact';
import type { WireEvent } from '../../api/answers.ts';
import { go } from '../../routing/address.ts';
import type { Attempt } from '../pipelines/attempts.ts';
import { Gantt } from '../pipelines/gantt.tsx';
import { subjectLink } from './subject-link.ts';

/** How a type says that something has ended. */
const ends: Readonly<Record<string, string>> = {
  completed: 'COMPLETED',
  failed: 'FAILED',
  cancelled: 'CANCELLED',
  killed: 'KILLED',
  retried: 'RETRIED',
  skipped: 'SKIPPED',
  rolled_back: 'ROLLED_BACK',
  aborted: 'ABORTED',
};

/** How long each thing went on under a correlation id, from its first event to its last. */
export function Waterfall({
  events,
}: {
  readonly events: readonly WireEvent[];
}): JSX.Element | null {
  const [first] = events;
  const last = events.at(-1);
  if (first === undefined || last === undefined) return null;
  const links = new Map(events.map((event) => [shortened(event.subject), subjectLink(event)]));
  return (
    <Gantt
      attempts={spansOf(events)}
      from={first.at}
      to={Math.max(last.at, first.at + 1)}
      chosen=""
      onChoose={({ step }) => {
        const link = links.get(step);
        if (link !== undefined) go(link);
      }}
    />
  );
}

/** One span for each subject and attempt; a subject of one event is a point in time. */
function spansOf(events: readonly WireEvent[]): readonly Attempt[] {
  const spans = new Map<string, Attempt>();
  for (const { subject, type, at, payload } of events) {
    const attempt = typeof payload['attempt'] === 'number' ? payload['attempt'] : 1;
    const key = `${subject} ${attempt}`;
    const before = spans.get(key);
    const how = ends[type.split('.').at(-1) ?? ''] ?? before?.how ?? 'TOLD';
    const what = before?.why === undefined ? type : `${before.why}, ${type}`;
    spans.set(key, {
      ...{ step: shortened(subject), attempt, how, endedAt: at },
      startedAt: before?.startedAt ?? at,
      why: what.slice(0, 300),
    });
  }
  return [...spans.values()].sort((a, b) => a.startedAt - b.startedAt);
}

function shortened(subject: string): string {
  return subject
    .replace(/[0-9a-f]{8}-[0-9a-f-]{19}([0-9a-f]{8})/g, '…$1')
    .replace(/^step:…\w+\//, 'step ');
}
