import type { StoredEvent } from '../../contracts/event.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { withCorrelation } from '../../events/correlation.ts';
import { asJson, type JsonObject } from '../../json.ts';
import { compileExpression } from '../../language/conditions.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import { CronTimes } from '../../pipelines/schedules/cron.ts';
import {
  type DecidedAct,
  decideResponse,
  type ResponseFacts,
  type ResponseVerdict,
  type Trouble,
  troubleOf,
} from './response-decision.ts';
import type { ResponsePolicy } from './response-policy.ts';
import { emitResponse } from './response-records.ts';

/** What a decision needs of the rest. */
export interface DecidingParts {
  /** Of the deployment, as it stands now. */
  findPolicy(deploymentId: string): Promise<ResponsePolicy | undefined>;
  facts(policy: ResponsePolicy, trouble: Trouble): Promise<ResponseFacts>;
}

/** Types whose troubles the matrix answers; one that an alert tells of too is left to the alert. */
const ofAlerts: ReadonlySet<string> = new Set(['alert.triggered', 'alert.severity_changed']);

/**
 * Decides on one event and records that, once: a decision is created under the policy's and the event's id, so that an
 * event which is delivered twice, to whatever process, finds it. Its acts are created with it, and done afterwards.
 * The policy's revision is part of the commit, so that its limits hold whoever decides beside.
 */
export async function decideOnEvent(
  scope: Scope,
  parts: DecidingParts,
  event: StoredEvent,
): Promise<void> {
  const deploymentId = event.payload['deploymentId'];
  if (typeof deploymentId !== 'string') return;
  const { correlationId, id: causationId } = event;
  await withCorrelation({ correlationId, causationId }, async () => {
    try {
      await decideAndCommit(scope, async () => ({
        changes: await changesFor(scope, parts, deploymentId, event),
        result: undefined,
      }));
    } catch (error) {
      // Another process has decided on the same event.
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
  });
}

async function changesFor(
  scope: Scope,
  parts: DecidingParts,
  deploymentId: string,
  event: StoredEvent,
): Promise<readonly Change[]> {
  const { metadata, workspace, clock } = scope;
  const policy = await parts.findPolicy(deploymentId);
  // What was told before there was a policy is none of its business.
  if (policy === undefined || !policy.enabled || event.at < policy.since) return [];
  const id = `${policy.id}:${event.id}`;
  if ((await metadata.find(workspace, 'response_decision', id)) !== undefined) return [];
  const { holds, faults } = firstRule(policy, event);
  const trouble = troubleOf(event);
  const isTold = trouble.alertId !== undefined && !ofAlerts.has(event.type);
  if (holds === undefined && isTold) return [];
  const facts = await parts.facts(policy, trouble);
  const verdict = decideResponse(policy, trouble, facts, holds);
  if (verdict.acts.length === 0) return [];
  const at = clock.now();
  const inputs = { trouble, facts, policyRevision: policy.revision, faults };
  const { alertId } = trouble;
  const { deployment, id: policyId, dryRun = false } = policy;
  const of = { deploymentId, ...(alertId === undefined ? {} : { alertId }) };
  return [
    { op: 'replace', kind: 'response_policy', id: policyId, expect: policy.revision },
    {
      ...({ op: 'create', kind: 'response_decision', id } as const),
      columns: {
        ...{ policyId, ...of, eventId: event.id, correlationId: event.correlationId, dryRun, at },
      },
      body: asJson({ deployment, matched: verdict.matched, inputs }) as JsonObject,
    },
    ...verdict.acts.map((act) => actCreated(policy, { id, at, event, trouble }, act)),
    emitResponse(scope, 'response.decided', {
      ...{ deployment, ...of, decisionId: id, matched: verdict.matched, dryRun },
      actions: actionsOf(verdict),
    }),
  ];
}

function actionsOf({ acts }: ResponseVerdict): readonly string[] {
  return acts.map(({ action, state }) =>
    state === 'PENDING' || state === 'DRY_RUN' ? action : `${action} (${state})`,
  );
}

function actCreated(
  { id: policyId, deployment, deploymentId }: ResponsePolicy,
  of: {
    readonly id: string;
    readonly at: number;
    readonly event: StoredEvent;
    readonly trouble: Trouble;
  },
  { action, state, reason, with: how, at: cron }: DecidedAct,
): Change {
  const { id: decisionId, at, event, trouble } = of;
  const begun = state === 'PENDING' || state === 'DRY_RUN';
  // A trouble is answered by an action once; what was not begun may be told again.
  const key = begun ? (trouble.alertId ?? event.id) : event.id;
  const dueAt = cron === undefined ? at : (new CronTimes(cron).after(at) ?? at);
  const { correlationId } = event;
  return {
    ...({ op: 'create', kind: 'response_act', id: `${policyId}:${key}:${action}` } as const),
    columns: {
      ...{ policyId, decisionId, deploymentId, action, state, dueAt, at, correlationId },
    },
    body: asJson({ deployment, reason, with: how }) as JsonObject,
  };
}

/** The policy's first rule that holds for an event; what could not be asked does not hold. */
function firstRule(
  { rules = [] }: ResponsePolicy,
  { type, payload, subject }: StoredEvent,
): { readonly holds: string | undefined; readonly faults: readonly string[] } {
  const faults: string[] = [];
  const found = rules.find(({ name, when }) => {
    try {
      return compileExpression(when).test({ event: { type, payload, subject } });
    } catch (error) {
      if (!isKeelsonError(error)) throw error;
      faults.push(`${name}: ${error.message}`);
      return false;
    }
  });
  return { holds: found?.name, faults };
}
