import type { Change } from '../../contracts/metadata-store.ts';
import type { Severity } from '../../contracts/ports.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import { asJson, type JsonObject } from '../../json.ts';

/** What a person wrote. */
export interface IncidentNote {
  readonly at: number;
  readonly by: string;
  readonly text: string;
}

/** What opened an incident, or joined it under the same correlation. */
export interface IncidentTrigger {
  /** The type of the event; `person` for one that was opened by hand. */
  readonly type: string;
  readonly eventId?: string;
  readonly at: number;
  readonly text: string;
}

/** Something has gone wrong, was mended, and is to be learned from. */
export interface Incident {
  readonly id: string;
  /** Of all that belongs to it: events, log lines, traces. One incident for each. */
  readonly correlationId: string;
  readonly title: string;
  readonly severity: Severity;
  readonly state: 'OPEN' | 'RESOLVED';
  /** What it concerns, such as `deployment:fraud-api`. */
  readonly concerns?: string;
  /** The model's name, where it concerns one. */
  readonly model?: string;
  /** Epoch ms, as all times. */
  readonly openedAt: number;
  readonly openedBy: string;
  readonly triggers: readonly IncidentTrigger[];
  readonly notes: readonly IncidentNote[];
  /** That it is over, by whom it was looked at, and how the platform stood then. */
  readonly verification?: IncidentNote & { readonly health: string };
  /** What was learned; missing while the review is open. */
  readonly review?: {
    readonly at: number;
    readonly by: string;
    readonly outcome: string;
    readonly actions: readonly string[];
  };
  readonly revision: number;
}

export const incidentKind = 'incident';

/** An incident as its record has it. */
export function incidentFromRecord({ id, revision, columns, body }: StoredRecord): Incident {
  const facts = body as unknown as Pick<Incident, 'triggers' | 'notes' | 'verification' | 'review'>;
  const { concerns, model } = columns;
  return {
    id,
    correlationId: columns['correlationId'] as string,
    title: columns['title'] as string,
    severity: columns['severity'] as Severity,
    state: columns['state'] as Incident['state'],
    ...(concerns === undefined ? {} : { concerns: concerns as string }),
    ...(model === undefined ? {} : { model: model as string }),
    openedAt: columns['openedAt'] as number,
    openedBy: columns['openedBy'] as string,
    ...facts,
    revision,
  };
}

function bodyOf({ triggers, notes, verification, review }: Omit<Incident, 'id'>): JsonObject {
  return asJson({ triggers, notes, verification, review }) as JsonObject;
}

/** The change that makes an incident. */
export function incidentCreated(incident: Omit<Incident, 'revision'>): Change {
  const { id, correlationId, title, severity, state, concerns, model, openedAt, openedBy } =
    incident;
  const columns = { correlationId, title, severity, state, concerns, model, openedAt, openedBy };
  const all = { ...columns, reviewOpen: true };
  return {
    op: 'create',
    kind: incidentKind,
    id,
    columns: all,
    body: bodyOf({ ...incident, revision: 1 }),
  };
}

/** The change that brings an incident to what it is now, from its revision. */
export function incidentChanged(incident: Incident): Change {
  const { id, revision: expect, severity, state, verification, review } = incident;
  const columns = {
    severity,
    state,
    reviewOpen: review === undefined,
    resolvedAt: state === 'RESOLVED' ? verification?.at : undefined,
  };
  return { op: 'replace', kind: incidentKind, id, expect, columns, body: bodyOf(incident) };
}
