import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { currentCorrelation } from '../events/correlation.ts';
import { draftEvent } from '../events/draft-event.ts';
import { asJson, type JsonObject } from '../json.ts';
import { decideAndCommit } from './decide-and-commit.ts';
import { everyRecord } from './every-record.ts';

/** What a freeze keeps from happening. Going back to an earlier version is never frozen. */
export type FrozenAct = 'promotions' | 'rollouts' | 'scale-down';

/** All that can be frozen. */
export const frozenActs: readonly FrozenAct[] = ['promotions', 'rollouts', 'scale-down'];

/** A freeze in force: of one deployment and its model, until its alert is acknowledged. */
export interface Freeze {
  readonly alertId: string;
  readonly deploymentId: string;
  /** The deployment's name. */
  readonly deployment: string;
  readonly model: string;
  readonly acts: readonly FrozenAct[];
  /** What has happened, in words. */
  readonly reason: string;
  /** What goes on under it is the mending of that very alert, and is let through. */
  readonly correlationId: string;
  /** Epoch ms. */
  readonly since: number;
}

type Reading = Pick<Scope, 'metadata' | 'workspace'>;

interface Frozen {
  /** Of the record; `absent` where nothing of the model was ever frozen. */
  readonly at: number | 'absent';
  readonly freezes: readonly Freeze[];
}

/** The freezes in force of a model's deployments, oldest first. */
export async function freezesOf(scope: Reading, model: string): Promise<readonly Freeze[]> {
  return (await read(scope, model)).freezes;
}

/**
 * The change that belongs into the commit of what might be frozen: with it, the commit is decided anew where a freeze
 * is made beside it. CONFLICT, naming the alert and the remedy, where it is frozen. Promotions are frozen by a freeze of
 * any deployment of the model, the rest by one of `deploymentId`.
 */
export async function assertUnfrozen(
  scope: Reading,
  act: FrozenAct,
  of: { readonly model: string; readonly deploymentId?: string },
): Promise<Change> {
  const { at: expect, freezes } = await read(scope, of.model);
  const stands = freezeOf(freezes, act, of.deploymentId, currentCorrelation()?.correlationId);
  if (stands === undefined) return { op: 'assert', kind: 'freeze', id: idOf(of.model), expect };
  const what =
    act === 'promotions' ? `Promotions of ${of.model}` : `${capital(act)} of ${stands.deployment}`;
  throw new KeelsonError(
    'CONFLICT',
    `${what} are frozen by alert ${stands.alertId} (${stands.reason}). Acknowledge the alert (monitoring.acknowledge), or lift the freeze alone: monitoring.responses.unfreeze('${stands.alertId}', { reason }).`,
    { details: { frozen: act, alertId: stands.alertId, deployment: stands.deployment } },
  );
}

/** The first freeze that keeps an act from happening; what mends its own alert is let through. */
export function freezeOf(
  freezes: readonly Freeze[],
  act: FrozenAct,
  deploymentId: string | undefined,
  correlationId: string | undefined,
): Freeze | undefined {
  return freezes.find(
    (each) =>
      each.acts.includes(act) &&
      (deploymentId === undefined || each.deploymentId === deploymentId) &&
      each.correlationId !== correlationId,
  );
}

/** The changes that freeze; none where that alert has frozen the deployment already. */
export async function freezeChanges(scope: Scope, freeze: Freeze): Promise<readonly Change[]> {
  const { at, freezes } = await read(scope, freeze.model);
  if (freezes.some((each) => isSame(each, freeze))) return [];
  const { alertId, deployment, deploymentId, acts, reason } = freeze;
  return [
    written(freeze.model, at, [...freezes, freeze]),
    emitted(scope, 'freeze.placed', { alertId, deployment, deploymentId, acts, reason }),
  ];
}

/** Lifts what an alert has frozen, of whatever model; answers whether it froze anything. */
export async function thaw(scope: Scope, alertId: string, reason: string): Promise<boolean> {
  let thawed = false;
  const left = { from: 'column', name: 'inForce' } as const;
  const where = { op: 'compare', left, cmp: '>', value: 0 } as const;
  for await (const { columns } of everyRecord(scope, 'freeze', { where })) {
    const model = columns['model'] as string;
    const some = await decideAndCommit(scope, async () => {
      const changes = await thawChanges(scope, { alertId, model, reason });
      return { changes, result: changes.length > 0, reason };
    });
    thawed ||= some;
  }
  return thawed;
}

/** The changes that lift what an alert has frozen; none where it froze nothing. */
async function thawChanges(
  scope: Scope,
  of: Pick<Freeze, 'alertId' | 'model'> & { readonly reason: string },
): Promise<readonly Change[]> {
  const { at, freezes } = await read(scope, of.model);
  const lifted = freezes.filter(({ alertId }) => alertId === of.alertId);
  if (lifted.length === 0) return [];
  const kept = freezes.filter(({ alertId }) => alertId !== of.alertId);
  return [
    written(of.model, at, kept),
    ...lifted.map(({ alertId, deployment, deploymentId, acts }) => {
      const told = { alertId, deployment, deploymentId, acts, reason: of.reason };
      return emitted(scope, 'freeze.lifted', told);
    }),
  ];
}

function isSame(one: Freeze, other: Freeze): boolean {
  return one.alertId === other.alertId && one.deploymentId === other.deploymentId;
}

function written(model: string, at: Frozen['at'], freezes: readonly Freeze[]): Change {
  const of = { kind: 'freeze', id: idOf(model), body: asJson({ freezes }) as JsonObject } as const;
  const inForce = freezes.length;
  return at === 'absent'
    ? { op: 'create', ...of, columns: { model, inForce } }
    : { op: 'replace', ...of, expect: at, columns: { inForce } };
}

function emitted(
  scope: Scope,
  type: 'freeze.placed' | 'freeze.lifted',
  payload: Pick<Freeze, 'alertId' | 'deployment' | 'deploymentId' | 'acts' | 'reason'>,
): Change {
  const subject = `deployment:${payload.deployment}`;
  const event = { type, subject, source: 'operations', payload };
  return { op: 'emit', event: draftEvent(scope, event) };
}

async function read({ metadata, workspace }: Reading, model: string): Promise<Frozen> {
  const record = await metadata.find(workspace, 'freeze', idOf(model));
  return { at: record?.revision ?? 'absent', freezes: record === undefined ? [] : listed(record) };
}

function listed({ body }: StoredRecord): readonly Freeze[] {
  return (body['freezes'] ?? []) as unknown as readonly Freeze[];
}

function idOf(model: string): string {
  return `freeze:${model}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
