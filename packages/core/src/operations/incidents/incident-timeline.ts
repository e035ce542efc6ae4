import type { StoredEvent } from '../../contracts/event.ts';
import type { Incident } from './incident.ts';

/** One line of an incident's timeline. */
export interface IncidentMoment {
  readonly at: number;
  readonly kind: 'alert' | 'route' | 'rollout' | 'approval' | 'recovery' | 'note' | 'event';
  /** Who or what did it: a person, a service, or the platform by its policies. */
  readonly by: string;
  /** The type of the event; `note` for what people wrote. */
  readonly what: string;
  readonly text: string;
  readonly eventId?: string;
}

/** Changes that somebody made to mend it, or that made it. */
const acting: ReadonlySet<IncidentMoment['kind']> = new Set([
  'route',
  'rollout',
  'approval',
  'recovery',
]);

/** What belongs to the incident, by time. */
export function timelineOf(
  incident: Incident,
  events: readonly StoredEvent[],
): readonly IncidentMoment[] {
  const moments: IncidentMoment[] = events.map((event) => ({
    at: event.at,
    kind: kindOf(event.type),
    by: event.principal,
    what: event.type,
    text: textOf(event),
    eventId: event.id,
  }));
  for (const { at, by, text } of incident.notes) {
    moments.push({ at, kind: 'note', by, what: 'note', text });
  }
  return moments.toSorted((a, b) => a.at - b.at);
}

/** The moments at which somebody, or a policy, did something. */
export function actionsIn(timeline: readonly IncidentMoment[]): readonly IncidentMoment[] {
  return timeline.filter(({ kind }) => acting.has(kind));
}

function kindOf(type: string): IncidentMoment['kind'] {
  const [noun] = type.split('.', 1);
  if (noun === 'alert' || noun === 'drift' || noun === 'performance') return 'alert';
  if (noun === 'traffic') return 'route';
  if (noun === 'rollout' || noun === 'deployment' || noun === 'scaling') return 'rollout';
  if (noun === 'promotion' || noun === 'model' || noun === 'access') return 'approval';
  if (noun === 'recovery' || noun === 'saga') return 'recovery';
  return 'event';
}

/** What the payload says in words; its fields where it has none. */
function textOf({ payload }: StoredEvent): string {
  for (const field of ['summary', 'reason', 'message', 'title', 'error', 'text']) {
    const said = payload[field];
    if (typeof said === 'string' && said !== '') return said;
  }
  const facts = Object.entries(payload).filter(([, value]) => typeof value !== 'object');
  return facts.map(([name, value]) => `${name} ${String(value)}`).join(', ');
}
