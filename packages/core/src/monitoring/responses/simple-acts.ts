import type { Change } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { Deployments } from '../../deployments/deployments.ts';
import { isKeelsonError } from '../../errors.ts';
import { type Freeze, type FrozenAct, freezeChanges } from '../../operations/freezes.ts';
import { servingOf } from './response-facts.ts';
import type { ResponsePolicy } from './response-policy.ts';
import { emitResponse, type ResponseAct, type ResponseDecision } from './response-records.ts';

/** What an act came to; `changes` go into the commit that says so. */
export interface ActOutcome {
  readonly state: 'DONE' | 'FAILED';
  /** In words. */
  readonly outcome: string;
  readonly changes: readonly Change[];
}

/** What simple acts are done with. */
export interface ActingParts {
  readonly deployments: Pick<
    Deployments,
    'route' | 'getRollout' | 'pauseRollout' | 'abortRollout' | 'rollback' | 'setVersion' | 'stop'
  >;
}

const done = (outcome: string, ...changes: readonly Change[]): ActOutcome => ({
  ...{ state: 'DONE', outcome, changes },
});

/** Does what takes one step. Done already, it finds that and does nothing, so that it may be begun again anywhere. */
export async function actOnce(
  scope: Scope,
  parts: ActingParts,
  of: {
    readonly policy: ResponsePolicy;
    readonly decision: ResponseDecision;
    readonly act: ResponseAct;
  },
): Promise<ActOutcome> {
  const { policy, decision, act } = of;
  const { summary } = decision.inputs.trouble;
  const reason = `alert: ${summary}`.slice(0, 2000);
  switch (act.action) {
    case 'rollback':
      return rollBack(parts, policy, act, reason);
    case 'pause-rollout':
      return pause(parts, act, reason);
    case 'cut-traffic':
      return cut(parts, policy, act, reason);
    case 'follow-calendar':
      return done('versions follow the calendar', {
        ...({ op: 'replace', kind: 'response_policy', id: policy.id } as const),
        ...{ expect: policy.revision, columns: { calendarOn: true } },
      });
    case 'raise-attention':
      return raise(scope, act);
    case 'freeze':
      return freeze(scope, policy, decision, act);
    default:
      return tell(scope, decision, act);
  }
}

async function rollBack(
  { deployments }: ActingParts,
  { deployment }: ResponsePolicy,
  act: ResponseAct,
  reason: string,
): Promise<ActOutcome> {
  if (typeof act.with['rolloutId'] === 'string') {
    return abort({ deployments }, act.with['rolloutId'], reason);
  }
  const { route } = await deployments.route(deployment);
  if (servingOf(route) !== act.with['leavingVersionId'])
    return done('another version answers already');
  const { revision } = await deployments.rollback(deployment, { reason });
  return done(`${revision.after.version} answers again, as revision ${revision.number}`);
}

async function abort(
  { deployments }: ActingParts,
  rolloutId: string,
  reason: string,
): Promise<ActOutcome> {
  const { status, baseline } = await deployments.getRollout(rolloutId);
  if (status !== 'IN_PROGRESS' && status !== 'PAUSED')
    return done(`rollout ${rolloutId} is ${status}`);
  await deployments.abortRollout(rolloutId, reason);
  return done(`rollout ${rolloutId} was aborted; ${baseline} answers`);
}

async function pause(
  { deployments }: ActingParts,
  act: ResponseAct,
  reason: string,
): Promise<ActOutcome> {
  const rolloutId = String(act.with['rolloutId']);
  const { status } = await deployments.getRollout(rolloutId);
  if (status !== 'IN_PROGRESS') return done(`rollout ${rolloutId} is ${status}`);
  await deployments.pauseRollout(rolloutId, reason);
  return done(`rollout ${rolloutId} was paused`);
}

async function cut(
  parts: ActingParts,
  { deployment }: ResponsePolicy,
  act: ResponseAct,
  reason: string,
): Promise<ActOutcome> {
  const { deployments } = parts;
  const { rolloutId, versionId } = act.with;
  if (typeof rolloutId === 'string') return abort(parts, rolloutId, reason);
  if (typeof versionId === 'string') {
    const { route } = await deployments.route(deployment);
    if (servingOf(route) !== versionId) await deployments.setVersion(deployment, versionId, reason);
    return done('the fallback version answers');
  }
  await deployments.stop(deployment, reason);
  return done(`${deployment} is stopped; start it again with deployments.start`);
}

async function raise(scope: Scope, act: ResponseAct): Promise<ActOutcome> {
  const { metadata, workspace } = scope;
  const until = act.at + Number(act.with['forMs']);
  const id = act.deploymentId;
  const there = await metadata.find(workspace, 'attention', id);
  const outcome = `more is sampled and evaluated until ${new Date(until).toISOString()}`;
  if (there === undefined)
    return done(outcome, { op: 'create', kind: 'attention', id, columns: { until } });
  const longer = Math.max(until, there.columns['until'] as number);
  return done(outcome, {
    ...({ op: 'replace', kind: 'attention', id, expect: there.revision } as const),
    columns: { until: longer },
  });
}

async function freeze(
  scope: Scope,
  { deployment, model }: ResponsePolicy,
  { alertId, eventId, inputs }: ResponseDecision,
  act: ResponseAct,
): Promise<ActOutcome> {
  const acts = act.with['acts'] as unknown as readonly FrozenAct[];
  const of: Freeze = {
    ...{ alertId: alertId ?? eventId, deploymentId: act.deploymentId, deployment, model, acts },
    ...{ reason: inputs.trouble.summary, correlationId: act.correlationId, since: act.at },
  };
  const { metadata, workspace } = scope;
  const alert =
    alertId === undefined ? undefined : await metadata.find(workspace, 'alert', alertId);
  if (alert !== undefined && isAttended(alert)) {
    return done('the alert is acknowledged or over already');
  }
  // Acknowledged meanwhile, it is decided anew.
  const seen: readonly Change[] =
    alert === undefined
      ? []
      : [{ op: 'assert', kind: 'alert', id: alert.id, expect: alert.revision }];
  const changes = [...(await freezeChanges(scope, of)), ...seen];
  return done(`${acts.join(', ')} frozen until the alert is acknowledged`, ...changes);
}

/** Whether somebody looks at an alert by now, or it is over. */
function isAttended({ body, columns }: StoredRecord): boolean {
  const condition = body['condition'] as { readonly acknowledged?: unknown } | undefined;
  const acknowledged = condition?.acknowledged ?? body['acknowledged'];
  return columns['state'] === 'RESOLVED' || acknowledged !== undefined;
}

function tell(scope: Scope, decision: ResponseDecision, act: ResponseAct): ActOutcome {
  const { trouble } = decision.inputs;
  const others = decision.acts.filter(({ id }) => id !== act.id);
  const also = others.map(({ action, state, reason }) => `${action}: ${state} (${reason})`);
  const said = [trouble.summary, ...also, String(act.with['text'] ?? '')];
  const isPage = act.action === 'page';
  const severity = isPage && trouble.severity === 'WARNING' ? 'CRITICAL' : trouble.severity;
  const { deployment, deploymentId, id: decisionId, alertId } = decision;
  const payload = {
    ...{ deployment, deploymentId, decisionId, severity },
    ...(alertId === undefined ? {} : { alertId }),
    text: said.filter((each) => each !== '').join('\n'),
  };
  return isPage
    ? done('a person was asked for', emitResponse(scope, 'response.paged', payload))
    : done('people were told', emitResponse(scope, 'response.notified', payload));
}

/** Whether trying again would not help. */
export function isLasting(error: unknown): boolean {
  return isKeelsonError(
    error,
    ...([
      'INVALID',
      'NOT_FOUND',
      'CONFLICT',
      'FORBIDDEN',
      'CORRUPT',
      'FAILED',
      'UNSUPPORTED',
    ] as const),
  );
}
