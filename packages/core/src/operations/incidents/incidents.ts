import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { StoredEvent } from '../../contracts/event.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Severity } from '../../contracts/ports.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { currentCorrelation, withCorrelation } from '../../events/correlation.ts';
import { draftEvent } from '../../events/draft-event.ts';
import type { PayloadOf } from '../../events/typed-event.ts';
import { assertText, storableText } from '../../json.ts';
import { assertAllowed, decideAndCommit } from '../decide-and-commit.ts';
import { columnIs } from '../every-record.ts';
import {
  type Incident,
  incidentChanged,
  incidentCreated,
  incidentFromRecord,
  incidentKind,
} from './incident.ts';
import { type IncidentImpact, type IncidentReport, incidentMarkdown } from './incident-report.ts';
import { actionsIn, timelineOf } from './incident-timeline.ts';
import { graver, openingOf } from './incident-triggers.ts';

/** An incident that a person opens. */
export interface OpenIncident {
  readonly title: string;
  /** `WARNING` when left out. */
  readonly severity?: Severity;
  /** Such as `deployment:fraud-api` or `model:fraud`. */
  readonly concerns?: string;
  /** Of what belongs to it; the one in force, or a new one, when left out. */
  readonly correlationId?: string;
}

/** Which incidents. */
export interface IncidentFilter {
  readonly state?: Incident['state'];
  /** `open`: those that are still to be reviewed. */
  readonly review?: 'open' | 'done';
  readonly model?: string;
  /** 1 to 1,000; 100 when left out. */
  readonly limit?: number;
}

/** From something that went wrong to what was learned of it. */
export interface Incidents {
  /** Opens one by hand; where there is one of the correlation already, that one is answered. */
  open(incident: OpenIncident): Promise<Incident>;
  get(id: string): Promise<Incident>;
  /** Newest first. */
  list(filter?: IncidentFilter): Promise<readonly Incident[]>;
  /** Adds what a person has to say. */
  note(id: string, text: string): Promise<Incident>;
  /** Says that it is over, and how that was verified; the platform's health is looked at and kept with it. */
  resolve(id: string, verification: string): Promise<Incident>;
  /** Ends the review; where the model's policy says so, its promotions wait for that. */
  review(
    id: string,
    review: { readonly outcome: string; readonly actions?: readonly string[] },
  ): Promise<Incident>;
  /** Timeline, impact, and what acted, put together from what the correlation has. */
  report(id: string): Promise<IncidentReport>;
  /** {@link report} as Markdown. */
  markdown(id: string): Promise<string>;
}

/** What incidents need from the rooms above. */
export interface IncidentParts {
  /** Events of a correlation, oldest first, those in archives too. */
  events(correlationId: string): AsyncIterable<StoredEvent>;
  /** What requests of a deployment met. */
  impact(
    deploymentId: string,
    range: { readonly from: number; readonly to: number },
  ): Promise<Omit<IncidentImpact, 'from' | 'to'>>;
  /** How the platform stands now. */
  health(): Promise<string>;
}

const text = z.string().min(1).max(2000);
const openShape = z.strictObject({
  title: text,
  severity: z.enum(['INFO', 'WARNING', 'CRITICAL', 'EMERGENCY']).optional(),
  concerns: text.optional(),
  correlationId: z.string().min(1).max(200).optional(),
} satisfies Record<keyof OpenIncident, z.ZodType>);
const filterShape = z.strictObject({
  state: z.enum(['OPEN', 'RESOLVED']).optional(),
  review: z.enum(['open', 'done']).optional(),
  model: text.optional(),
  limit: z.int().min(1).max(1000).optional(),
} satisfies Record<keyof IncidentFilter, z.ZodType>);
const reviewShape = z.strictObject({ outcome: text, actions: z.array(text).max(100).optional() });
/** So many events of a correlation are put into a timeline. */
const maxMoments = 1000;
/** So many triggers and notes are kept with an incident. */
const maxKept = 1000;

/** Incidents of a scope. `openFor` opens one for an event, once however often it is handed over. */
export function createIncidents(
  scope: Scope,
  parts: IncidentParts,
): Incidents & { openFor(event: StoredEvent): Promise<void> } {
  const { metadata, workspace, clock } = scope;
  const here = `workspace:${workspace}`;

  async function get(id: string): Promise<Incident> {
    const record = await metadata.find(workspace, incidentKind, assertText(id, 'An incident id'));
    if (record !== undefined) return incidentFromRecord(record);
    throw new KeelsonError(
      'NOT_FOUND',
      `There is no incident ${id.slice(0, 100)} in ${workspace}.`,
    );
  }

  async function findByCorrelation(correlationId: string): Promise<Incident | undefined> {
    const where = columnIs('correlationId', correlationId);
    const { records } = await metadata.query(workspace, incidentKind, { where, limit: 1 });
    return records[0] && incidentFromRecord(records[0]);
  }

  async function modelOf(concerns: string | undefined): Promise<string | undefined> {
    const [kind, name] = concerns?.split(/:(.*)/s, 2) ?? [];
    if (kind === 'model') return name;
    if (kind !== 'deployment' || name === undefined) return undefined;
    return (await deploymentOf(name))?.model;
  }

  async function deploymentOf(
    name: string,
  ): Promise<{ readonly id: string; readonly model: string } | undefined> {
    const where = columnIs('name', name);
    const { records } = await metadata.query(workspace, 'deployment', { where, limit: 1 });
    const [record] = records;
    return record && { id: record.id, model: record.columns['modelName'] as string };
  }

  function emit<T extends 'incident.opened' | 'incident.resolved' | 'incident.reviewed'>(
    type: T,
    incidentId: string,
    payload: Omit<PayloadOf<T>, 'incidentId'>,
  ): Change {
    const event = draftEvent(scope, {
      type,
      subject: `incident:${incidentId}`,
      source: 'operations',
      payload: { incidentId, ...payload } as unknown as PayloadOf<T>,
    });
    return { op: 'emit', event };
  }

  /** The one of the correlation, made where there is none; a trigger that it does not have joins it. */
  async function ensure(
    of: Pick<Incident, 'title' | 'severity' | 'concerns' | 'correlationId' | 'openedBy'>,
    trigger: Incident['triggers'][number],
  ): Promise<Incident> {
    const id = scope.ids.next();
    const model = await modelOf(of.concerns);
    const decide = async (): Promise<{ changes: readonly Change[]; result: undefined }> => {
      const existing = await findByCorrelation(of.correlationId);
      if (existing === undefined) {
        const { title, severity, concerns } = of;
        const created = incidentCreated({
          ...{ ...of, id, state: 'OPEN', openedAt: clock.now() },
          ...(model === undefined ? {} : { model }),
          ...{ triggers: [trigger], notes: [] },
        });
        const opened = emit('incident.opened', id, {
          ...{ severity, title },
          ...(concerns === undefined ? {} : { concerns }),
        });
        return { changes: [created, opened], result: undefined };
      }
      const known = existing.triggers.some(({ eventId }) => eventId === trigger.eventId);
      if (known || existing.triggers.length >= maxKept) return { changes: [], result: undefined };
      const severity = graver(existing.severity, of.severity);
      const triggers = [...existing.triggers, trigger];
      return { changes: [incidentChanged({ ...existing, severity, triggers })], result: undefined };
    };
    await withCorrelation(
      { ...currentCorrelation(), correlationId: of.correlationId },
      async () => {
        try {
          await decideAndCommit(scope, decide);
        } catch (error) {
          // Another process opened it in between.
          if (!isKeelsonError(error, 'CONFLICT')) throw error;
          await decideAndCommit(scope, decide);
        }
      },
    );
    const made = await findByCorrelation(of.correlationId);
    if (made !== undefined) return made;
    throw new KeelsonError('INTERNAL', `The incident of ${of.correlationId} is gone.`);
  }

  async function change(
    id: string,
    next: (incident: Incident) => {
      readonly incident: Incident;
      readonly more?: readonly Change[];
    },
  ): Promise<Incident> {
    const { correlationId } = await get(id);
    await withCorrelation({ ...currentCorrelation(), correlationId }, () =>
      decideAndCommit(scope, async () => {
        const { incident, more = [] } = next(await get(id));
        return { changes: [incidentChanged(incident), ...more], result: undefined };
      }),
    );
    return get(id);
  }

  function noteOf(said: string): Incident['notes'][number] {
    return { at: clock.now(), by: scope.principal.id, text: said };
  }

  async function report(id: string): Promise<IncidentReport> {
    await assertAllowed(scope, 'health.read', here);
    const incident = await get(id);
    const events: StoredEvent[] = [];
    for await (const event of parts.events(incident.correlationId)) {
      events.push(event);
      if (events.length === maxMoments) break;
    }
    const timeline = timelineOf(incident, events);
    const first = Math.min(incident.openedAt, ...timeline.map(({ at }) => at));
    const from = Math.min(first, ...incident.triggers.map(({ at }) => at));
    const range = { from, to: Math.max(from, incident.verification?.at ?? clock.now()) };
    const [kind, name] = incident.concerns?.split(/:(.*)/s, 2) ?? [];
    const deployment =
      kind === 'deployment' && name !== undefined ? await deploymentOf(name) : undefined;
    const met = deployment === undefined ? {} : await parts.impact(deployment.id, range);
    return { incident, timeline, actions: actionsIn(timeline), impact: { ...range, ...met } };
  }

  return {
    get,
    report,

    async open(asked) {
      checkOptions(openShape, asked, 'incidents.open');
      await assertAllowed(scope, 'incident.manage', here);
      const { title, severity = 'WARNING', concerns } = asked;
      const correlationId =
        asked.correlationId ?? currentCorrelation()?.correlationId ?? scope.ids.next();
      const by = { correlationId, openedBy: scope.principal.id };
      const trigger = { type: 'person', at: clock.now(), text: title };
      return ensure(
        { title, severity, ...(concerns === undefined ? {} : { concerns }), ...by },
        trigger,
      );
    },

    async openFor(event) {
      const opening = openingOf(event);
      if (opening === undefined) return;
      const { deployment: _, ...of } = { ...opening, title: storableText(opening.title, 500) };
      const trigger = { type: event.type, eventId: event.id, at: event.at, text: of.title };
      const { correlationId, principal: openedBy } = event;
      await ensure({ ...of, correlationId, openedBy }, trigger);
    },

    async list(filter = {}) {
      const {
        state,
        review,
        model,
        limit = 100,
      } = checkOptions(filterShape, filter, 'incidents.list');
      const of: Predicate[] = [];
      if (state !== undefined) of.push(columnIs('state', state));
      if (review !== undefined) of.push(columnIs('reviewOpen', review === 'open'));
      if (model !== undefined) of.push(columnIs('model', model));
      const { records } = await metadata.query(workspace, incidentKind, {
        where: { op: 'and', of },
        orderBy: [{ by: { from: 'column', name: 'openedAt' }, direction: 'desc' }],
        limit,
      });
      return records.map(incidentFromRecord);
    },

    async note(id, said) {
      checkOptions(z.strictObject({ text }), { text: said }, 'incidents.note');
      await assertAllowed(scope, 'incident.manage', here);
      return change(id, (incident) => {
        if (incident.notes.length >= maxKept) {
          throw new KeelsonError(
            'EXHAUSTED',
            `Incident ${id} has ${maxKept} notes, the most there may be.`,
          );
        }
        return { incident: { ...incident, notes: [...incident.notes, noteOf(said)] } };
      });
    },

    async resolve(id, said) {
      checkOptions(z.strictObject({ text }), { text: said }, 'incidents.resolve');
      await assertAllowed(scope, 'incident.manage', here);
      await get(id);
      const health = await parts.health();
      return change(id, (incident) => {
        if (incident.state === 'RESOLVED') {
          throw new KeelsonError('CONFLICT', `Incident ${id} is resolved already.`);
        }
        const verification = { ...noteOf(said), health };
        const resolved = { ...incident, state: 'RESOLVED', verification } as const;
        const more = [
          emit('incident.resolved', id, { title: incident.title, verification: said, health }),
        ];
        return { incident: resolved, more };
      });
    },

    async review(id, asked) {
      const { outcome, actions = [] } = checkOptions(reviewShape, asked, 'incidents.review');
      await assertAllowed(scope, 'incident.manage', here);
      return change(id, (incident) => {
        if (incident.state !== 'RESOLVED') {
          throw new KeelsonError(
            'CONFLICT',
            `Incident ${id} is still open; resolve it before its review.`,
          );
        }
        if (incident.review !== undefined) {
          throw new KeelsonError(
            'CONFLICT',
            `Incident ${id} was reviewed by ${incident.review.by}.`,
          );
        }
        const review = { at: clock.now(), by: scope.principal.id, outcome, actions };
        const more = [emit('incident.reviewed', id, { title: incident.title, outcome })];
        return { incident: { ...incident, review }, more };
      });
    },

    markdown: async (id) => incidentMarkdown(await report(id)),
  };
}
