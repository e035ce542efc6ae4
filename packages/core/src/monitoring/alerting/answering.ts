import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { asJson, assertText, type JsonObject } from '../../json.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import { everyRecord } from '../../operations/every-record.ts';
import { type Alert, type AlertBody, alertFromRecord } from './alert.ts';
import { type AlertInput, type AlertState, stepAlert } from './alert-state.ts';
import { alertAs, alertChange, announcements, type StepReason } from './alert-steps.ts';

/** How an alert is acknowledged. */
export interface AcknowledgeOptions {
  readonly comment?: string;
  /** After so long it counts as unattended again, in ms; a day when left out. */
  readonly forMs?: number;
}

/** What people answer to alerts. */
export interface Answering {
  acknowledge(alertId: string, options?: AcknowledgeOptions): Promise<Alert>;
  unacknowledge(alertId: string): Promise<Alert>;
  resolve(alertId: string, options: { readonly comment: string }): Promise<Alert>;
  /** Ends acknowledgements whose time has come. */
  expire(now: number): Promise<void>;
}

const dayMs = 86_400_000;
const shape = z.strictObject({
  comment: z.string().max(10_000).optional(),
  forMs: z
    .number()
    .int()
    .min(60_000)
    .max(30 * dayMs)
    .optional(),
} satisfies Record<keyof AcknowledgeOptions, z.ZodType>);

/** {@link Answering} of a scope. */
export function createAnswering(scope: Scope): Answering {
  const { metadata, workspace, clock } = scope;

  async function getRecord(id: string): Promise<StoredRecord> {
    assertText(id, 'The id of an alert', 200);
    const record = await metadata.find(workspace, 'alert', id);
    if (record !== undefined) return record;
    throw new KeelsonError(
      'NOT_FOUND',
      `There is no alert ${id}; monitoring.listAlerts says which there are.`,
    );
  }

  /** One step of an alert's state, however its record is written; the end, once there, wins over all else. */
  async function answer(
    id: string,
    input: AlertInput,
    reason: StepReason,
    options: { readonly onlyOpen: boolean },
  ): Promise<Alert> {
    await decideAndCommit(scope, async () => {
      const record = await getRecord(id);
      const alert = alertFromRecord(record);
      if (alert.state === 'RESOLVED') {
        if (!options.onlyOpen) return { changes: [], result: undefined };
        throw new KeelsonError(
          'CONFLICT',
          `Alert ${id} is over since ${new Date(alert.lastAt).toISOString()}: there is nothing to acknowledge.`,
        );
      }
      if (alert.state === 'PENDING' && input.type === 'acknowledge') {
        throw new KeelsonError(
          'CONFLICT',
          `Alert ${id} has not fired yet, and nobody was told of it: there is nothing to acknowledge.`,
        );
      }
      return { changes: stepOf(record, alert, input, reason), result: undefined };
    });
    return alertFromRecord(await getRecord(id));
  }

  function stepOf(
    record: StoredRecord,
    alert: Alert,
    input: AlertInput,
    reason: StepReason,
  ): readonly Change[] {
    const body = record.body as unknown as AlertBody;
    const state = body.condition ?? plainState(alert);
    const step = stepAlert({ forMs: 0, keepFiringForMs: 0 }, state, input);
    if (step.effects.length === 0 && step.state === state) return [];
    const { deploymentId, rule, fingerprint } = alert;
    const facts = { deploymentId, rule, fingerprint };
    const { resolution } = reason;
    const told = { ...body, ...(resolution === undefined ? {} : { resolution }) };
    const change = alertChange(record, record.id, facts, step.state, told, reason.at);
    if (change === undefined || step.state === undefined)
      return change === undefined ? [] : [change];
    const next = alertAs(record, facts, step.state, told, reason.at);
    const events = announcements(scope, step, next, alert, reason);
    return [withoutCondition(change, body, step.state), ...events];
  }

  return {
    async acknowledge(alertId, options = {}) {
      const { comment, forMs = dayMs } = checkOptions(shape, options, 'monitoring.acknowledge');
      const at = clock.now();
      const by = scope.principal.id;
      const acknowledgement = {
        by,
        at,
        untilAt: at + forMs,
        ...(comment === undefined ? {} : { comment }),
      };
      return answer(
        alertId,
        { type: 'acknowledge', by: acknowledgement },
        { at, by },
        { onlyOpen: true },
      );
    },

    unacknowledge: (alertId) => {
      const at = clock.now();
      return answer(alertId, { type: 'withdraw', at }, { at }, { onlyOpen: false });
    },

    async resolve(alertId, options) {
      const checked = z.strictObject({ comment: z.string().min(1).max(10_000) });
      const { comment } = checkOptions(checked, options, 'monitoring.resolveAlert');
      const at = clock.now();
      const resolution = `${scope.principal.id}: ${comment}`;
      return answer(alertId, { type: 'resolve', at }, { at, resolution }, { onlyOpen: false });
    },

    async expire(now) {
      const open: Predicate = { op: 'present', left: { from: 'column', name: 'openKey' } };
      for await (const record of everyRecord(scope, 'alert', { where: open })) {
        const until = alertFromRecord(record).acknowledged?.untilAt;
        if (until === undefined || now < until) continue;
        await answer(record.id, { type: 'time', at: now }, { at: now }, { onlyOpen: false });
      }
    },
  };
}

/** The state of an alert that no alert rule has raised, whose columns are all there is of it. */
function plainState(alert: Alert): AlertState {
  const { severity, firstAt, acknowledged } = alert;
  return {
    ...{ phase: 'FIRING', severity, since: { [severity]: firstAt }, judgedAt: firstAt },
    ...{ beganAt: firstAt, firedAt: firstAt },
    ...(acknowledged === undefined ? {} : { acknowledged }),
  };
}

/** Whoever raised the alert resolves it by its columns: of its state only who looks at it is kept. */
function withoutCondition(change: Change, body: AlertBody, state: AlertState): Change {
  if (body.condition !== undefined || change.op !== 'replace') return change;
  const { acknowledged: _, ...rest } = body;
  const { acknowledged } = state;
  const next = { ...rest, ...(acknowledged === undefined ? {} : { acknowledged }) };
  return { ...change, body: asJson(next) as JsonObject };
}
