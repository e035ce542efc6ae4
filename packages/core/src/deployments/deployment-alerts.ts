import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { draftEvent } from '../events/draft-event.ts';
import { asJson, type JsonObject } from '../json.ts';
import { columnIs } from '../operations/every-record.ts';
import type { Deployment } from './deployment.ts';

/** An alert about what a deployment can go back to. */
export interface DeploymentAlert {
  readonly rule: 'rollback' | 'rollback-targets';
  readonly severity: 'CRITICAL' | 'EMERGENCY';
  readonly summary: string;
  readonly evidence: object;
  readonly correlationId: string;
  readonly at: number;
}

type Named = Pick<Deployment, 'id' | 'name'>;

/** An alert with its event, unless one of its rule is open. */
export async function alertRaised(
  scope: Scope,
  { id: deploymentId, name: deployment }: Named,
  { rule, severity, summary, evidence, correlationId, at }: DeploymentAlert,
): Promise<readonly Change[]> {
  const fingerprint = `${deploymentId}:${rule}`;
  if ((await openOf(scope, fingerprint)) !== undefined) return [];
  const id = scope.ids.next();
  const event = draftEvent(scope, {
    type: 'alert.triggered',
    subject: `deployment:${deployment}`,
    source: 'deployments',
    payload: { alertId: id, deploymentId, deployment, rule, severity, summary, at },
  });
  return [
    {
      ...({ op: 'create', kind: 'alert', id } as const),
      columns: {
        ...{ deploymentId, rule, fingerprint, openKey: fingerprint, severity },
        ...{ state: 'FIRING', firstAt: at, lastAt: at },
      },
      body: {
        ...{ deployment, summary, eventId: event.id, correlationId },
        evidence: asJson(evidence) as JsonObject,
      },
    },
    { op: 'emit', event },
  ];
}

/** The end of the open alert of a rule, if there is one. */
export async function alertResolved(
  scope: Scope,
  { id, name: deployment }: Named,
  { rule, resolution, at }: Pick<DeploymentAlert, 'rule' | 'at'> & { readonly resolution: string },
): Promise<readonly Change[]> {
  const open = await openOf(scope, `${id}:${rule}`);
  if (open === undefined) return [];
  const event = draftEvent(scope, {
    type: 'alert.resolved',
    subject: `deployment:${deployment}`,
    source: 'deployments',
    payload: { alertId: open.id, deployment, rule, resolution },
  });
  return [
    {
      ...({ op: 'replace', kind: 'alert', id: open.id, expect: open.revision } as const),
      columns: { openKey: undefined, state: 'RESOLVED', lastAt: at },
      body: { ...open.body, resolution },
    },
    { op: 'emit', event },
  ];
}

async function openOf({ metadata, workspace }: Scope, fingerprint: string) {
  const where = columnIs('openKey', fingerprint);
  return (await metadata.query(workspace, 'alert', { where, limit: 1 })).records[0];
}
