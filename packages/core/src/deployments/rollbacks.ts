import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { KeelsonError } from '../errors.ts';
import { currentCorrelation, withCorrelation } from '../events/correlation.ts';
import { assertText } from '../json.ts';
import { assertAllowed, decideAndCommit } from '../operations/decide-and-commit.ts';
import { readVersionById } from '../registry/model-records.ts';
import type { Registry } from '../registry/registry.ts';
import { signatureBreaks } from '../registry/signature-breaks.ts';
import { deployables } from './deployable.ts';
import { type Deployment, nameOf, stateOf } from './deployment.ts';
import { assertIdle, assertPresent, assertReason } from './deployment-changes.ts';
import { versionsOfTraffic } from './deployment-config.ts';
import type { DeploymentRecords } from './deployment-records.ts';
import { monitorSuspended } from './monitor-window.ts';
import { nextRevision, type Revision, revisionFromRecord } from './revision.ts';
import { assertNumber, findRevision } from './revisions.ts';
import { knownGood, type RollbackTarget, verifiedTarget } from './rollback-targets.ts';
import { watchCreated, watchGates } from './rollback-watch.ts';
import type { Rollout } from './rollout.ts';
import { moveTraffic } from './traffic-move.ts';

/** Where to go back to, and why. */
export interface RollbackDeployment {
  /** The number of a revision; the newest known-good one before the one in force when left out. */
  readonly to?: number;
  readonly reason: string;
  /** How long the version is watched before `deployment.rolled_back` says that it is done; 30 min. */
  readonly watchMs?: number;
}

/** What a rollback has done. */
export interface DeploymentRollback {
  readonly deployment: Deployment;
  /** The revision that it is. */
  readonly revision: Revision;
  /** Why callers of the version that was left may be refused by the one that answers now; empty when none. */
  readonly signatureBreaks: readonly string[];
}

const shape = z.strictObject({
  to: z.unknown().optional(),
  reason: z.string(),
  watchMs: z
    .number()
    .min(0)
    .max(7 * 86_400_000)
    .optional(),
} satisfies Record<keyof RollbackDeployment, z.ZodType>);

const defaultWatchMs = 1_800_000;

/**
 * Moves all traffic to the version of an earlier revision, run as it was then, in one commit. NOT_FOUND for a
 * revision that is none, CONFLICT for one whose version is not whole any more, and while a rollout is under way.
 */
export async function rollBackDeployment(
  scope: Scope,
  registry: Registry,
  records: DeploymentRecords,
  name: string,
  options: RollbackDeployment,
): Promise<DeploymentRollback> {
  assertText(name, 'A deployment name');
  const { reason, watchMs = defaultWatchMs } = checkOptions(shape, options, 'rollback');
  assertReason(reason);
  const to = options.to === undefined ? undefined : assertNumber(options.to);
  await assertAllowed(scope, 'deployment.deploy', `deployment:${name}`);
  const correlationId = currentCorrelation()?.correlationId ?? scope.ids.next();
  const done = await withCorrelation({ ...currentCorrelation(), correlationId }, () =>
    decideAndCommit(scope, async () => {
      const deployment = await records.get(name);
      assertPresent(deployment);
      assertIdle(deployment);
      const record = await records.routeRecord(deployment.id);
      const before = stateOf(deployment, record.body as unknown as Route);
      const target = await targetOf(scope, registry, deployment, { to, leaving: before.versionId });
      const at = scope.clock.now();
      const back = await goneBack(scope, registry, records, deployment, target, { at, reason });
      const breaks = await breaksBetween(scope, before.versionId, target.version.id);
      const watch = await watchBegun(scope, records, deployment, {
        ...{ fromVersionId: before.versionId, toVersionId: target.version.id, at, reason, watchMs },
        ...{ correlationId, frozen: {}, breaks },
      });
      return { changes: [...back.changes, ...watch], result: { ...back, breaks }, reason };
    }),
  );
  const record = await findRevision(scope, done.deploymentId, done.number);
  if (record === undefined) throw new KeelsonError('NOT_FOUND', `Deployment ${name} was removed.`);
  const [deployment, revision] = [await records.get(name), revisionFromRecord(record)];
  return { deployment, revision, signatureBreaks: done.breaks };
}

async function targetOf(
  scope: Scope,
  registry: Registry,
  deployment: Deployment,
  { to, leaving }: { readonly to: number | undefined; readonly leaving: string },
): Promise<RollbackTarget> {
  if (to === undefined) {
    const target = await knownGood(scope, registry, deployment, new Set([leaving]));
    if (target !== undefined) return target;
    throw new KeelsonError(
      'CONFLICT',
      `Deployment ${deployment.name} has no earlier revision whose version is whole.`,
    );
  }
  const record = await findRevision(scope, deployment.id, to);
  if (record === undefined) {
    throw new KeelsonError('NOT_FOUND', `Deployment ${deployment.name} has no revision ${to}.`);
  }
  return verifiedTarget(scope, registry, revisionFromRecord(record));
}

/** The changes that bring a revision's state back, as a revision of its own. */
async function goneBack(
  scope: Scope,
  registry: Registry,
  records: DeploymentRecords,
  deployment: Deployment,
  { revision: earlier, version, changes }: RollbackTarget,
  { at, reason }: { readonly at: number; readonly reason: string },
): Promise<{
  readonly changes: readonly Change[];
  readonly deploymentId: string;
  readonly number: number;
}> {
  const record = await records.routeRecord(deployment.id);
  const route = record.body as unknown as Route;
  const before = stateOf(deployment, route);
  const { after } = earlier;
  const { traffic, versionId: _, version: __, ...config } = after;
  const ids = [version.id, ...versionsOfTraffic(traffic)];
  const named = ids.length === 1 ? { changes } : await deployables(scope, registry, ids);
  const { sticky, rules = [], fallbackVersionId } = traffic;
  const { sticky: ___, ...rest } = route;
  const base: Route = { ...rest, rules, ...(sticky === undefined ? {} : { sticky }) };
  const cleared = { scaling: undefined, warmMs: undefined, keptRevisions: undefined };
  const body = { ...cleared, ...config, fallbackVersionId };
  const as = { ...deployment, ...(fallbackVersionId === undefined ? {} : { fallbackVersionId }) };
  const move = moveTraffic(records, as, record, {
    ...{ versionId: version.id, key: nameOf(version), at, reason, base },
    // What is left is left for a reason; a version that only is run otherwise stays.
    cold: before.versionId === version.id ? [] : [before.versionId],
  });
  const revision = nextRevision(scope.ids.next(), deployment, {
    ...{ before, after, strategy: 'immediate', rolloutStatus: 'COMPLETED', at, reason },
    ...{ rollbackTo: earlier.number, createdBy: scope.principal.id },
  });
  return {
    deploymentId: deployment.id,
    number: revision.number,
    changes: [
      ...named.changes,
      records.replaceDeployment(
        deployment,
        { ...move.columns, ...revision.columns },
        { ...body, ...move.body },
      ),
      revision.create,
      ...move.changes,
    ],
  };
}

/** What tells that traffic has gone back: at once as done, or after the version was watched. */
export async function watchBegun(
  scope: Pick<Scope, 'ids' | 'metadata' | 'workspace'>,
  records: DeploymentRecords,
  deployment: Pick<Deployment, 'id' | 'name'>,
  of: {
    readonly rolloutId?: string;
    readonly fromVersionId: string;
    readonly toVersionId: string;
    readonly at: number;
    readonly reason: string;
    readonly watchMs: number;
    readonly frozen: Rollout['frozen'];
    readonly correlationId: string;
    readonly breaks?: readonly string[];
  },
): Promise<readonly Change[]> {
  const { id: deploymentId, name } = deployment;
  const { rolloutId, fromVersionId, toVersionId, at, reason, watchMs, frozen, correlationId } = of;
  const facts = {
    ...(rolloutId === undefined ? {} : { rolloutId }),
    ...{ candidateVersionId: fromVersionId, baselineVersionId: toVersionId, reason },
  };
  const window = { from: at, until: at + watchMs, reason, versionId: fromVersionId };
  const suspended = (watchId?: string): Promise<readonly Change[]> =>
    monitorSuspended(
      scope,
      deploymentId,
      { ...window, ...(watchId === undefined ? {} : { watchId }) },
      rolloutId,
    );
  if (watchMs === 0)
    return [...(await suspended()), records.emit('deployment.rolled_back', name, facts)];
  const id = scope.ids.next();
  return [
    ...(await suspended(id)),
    watchCreated({
      ...{ id, deploymentId, fromVersionId, toVersionId, status: 'WATCHING', beganAt: at },
      ...{ watchUntil: at + watchMs, watchMs, reason, frozen, correlationId },
      ...{ gates: watchGates, latest: [], tried: [fromVersionId, toVersionId] },
      ...(rolloutId === undefined ? {} : { rolloutId }),
    }),
    records.emit('deployment.rolling_back', name, {
      ...{ ...facts, deploymentId, rollbackId: id },
      ...(of.breaks === undefined || of.breaks.length === 0 ? {} : { signatureBreaks: of.breaks }),
    }),
  ];
}

/** Why callers of one version may be refused by another. */
export async function breaksBetween(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  fromId: string,
  toId: string,
): Promise<readonly string[]> {
  const [from, to] = await Promise.all([
    readVersionById(scope, fromId),
    readVersionById(scope, toId),
  ]);
  if (from.signature === undefined || to.signature === undefined) return [];
  return signatureBreaks(from.signature, to.signature).slice(0, 20);
}
