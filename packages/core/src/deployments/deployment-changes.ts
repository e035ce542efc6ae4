import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { assertAllowed, type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { assertUnfrozen } from '../operations/freezes.ts';
import type { Registry } from '../registry/registry.ts';
import { deployable, deployables } from './deployable.ts';
import { configOf, type Deployment, nameOf, stateOf } from './deployment.ts';
import {
  changedConfig,
  changedTags,
  checkChange,
  type DeploymentChange,
  versionsOfTraffic,
} from './deployment-config.ts';
import type { BodyChange, DeploymentRecords } from './deployment-records.ts';
import { followed } from './promotion-policy.ts';
import { differingParts, nextRevision } from './revision.ts';
import { moveTraffic } from './traffic-move.ts';

/** What may be done with a deployment beside moving its traffic step by step. */
export interface DeploymentChanges {
  /**
   * Changes its configuration, at once, as a revision. INVALID, naming the field; what does not change anything
   * makes no revision.
   */
  configure(name: string, change: DeploymentChange, reason: string): Promise<Deployment>;
  /** Its versions are unloaded and nothing is answered until {@link start}. CONFLICT while a rollout is under way. */
  stop(name: string, reason: string): Promise<Deployment>;
  /** Answers again after a {@link stop}. */
  start(name: string, reason: string): Promise<Deployment>;
  /**
   * Removes it, TERMINATING until `graceMs` (60,000 when left out) have passed, with its route, revisions and rollouts;
   * then its name is free. What it has done stays in history and audit. CONFLICT while a rollout is under way.
   */
  remove(
    name: string,
    options: { readonly reason: string; readonly graceMs?: number },
  ): Promise<Deployment>;
}

const removalShape = z.strictObject({
  reason: z.string().min(1),
  graceMs: z
    .number()
    .min(0)
    .max(30 * 86_400_000)
    .optional(),
});

/** {@link DeploymentChanges} of a scope, and the change of its version at once. */
export function createDeploymentChanges(
  scope: Scope,
  registry: Registry,
  records: DeploymentRecords,
): DeploymentChanges & {
  setVersion(name: string, versionId: string, reason: string): Promise<void>;
} {
  const { get, routeRecord, replaceDeployment, emit } = records;

  /** Decides on a deployment that its caller may deploy, and that is there. */
  async function change(
    name: string,
    reason: string,
    decide: (deployment: Deployment) => Promise<readonly Change[]>,
  ): Promise<Deployment> {
    assertText(name, 'A deployment name');
    assertReason(reason);
    await assertAllowed(scope, 'deployment.deploy', `deployment:${name}`);
    await decideAndCommit(scope, async (): Promise<Decision<undefined>> => {
      const deployment = await get(name);
      assertPresent(deployment);
      return { changes: await decide(deployment), result: undefined, reason };
    });
    return get(name);
  }

  async function configured(
    deployment: Deployment,
    wanted: DeploymentChange,
    reason: string,
  ): Promise<readonly Change[]> {
    const { id, name } = deployment;
    const record = await routeRecord(id);
    const route = record.body as unknown as Route;
    const before = stateOf(deployment, route);
    const config = changedConfig(configOf(deployment, route), wanted);
    const { traffic, ...body } = config;
    const after = { ...config, versionId: before.versionId, version: before.version };
    const parts = differingParts(before, after);
    const aside = asideOf(deployment, wanted, await scope.metadata.now());
    if (parts.length === 0) {
      if (aside === undefined) return [];
      return [...aside.changes, replaceDeployment(deployment, aside.columns, aside.body)];
    }
    const revision = nextRevision(scope.ids.next(), deployment, {
      ...{ before, after, strategy: 'immediate', rolloutStatus: 'COMPLETED', reason },
      ...{ createdBy: scope.principal.id, at: scope.clock.now() },
    });
    const { fallbackVersionId } = traffic;
    // What was configured and is no longer is left out, not kept from before.
    const cleared = { scaling: undefined, warmMs: undefined, keptRevisions: undefined };
    const changes: Change[] = [
      ...(aside?.changes ?? []),
      replaceDeployment(
        deployment,
        { ...aside?.columns, ...revision.columns },
        { ...cleared, ...body, ...aside?.body, fallbackVersionId },
      ),
      revision.create,
      emit('deployment.configured', name, {
        ...{ deploymentId: id, revision: revision.number, changed: parts, reason },
      }),
    ];
    if (!parts.includes('traffic')) return changes;
    const { changes: named } = await deployables(scope, registry, versionsOfTraffic(traffic));
    const next = routeWith(deployment, route, traffic);
    return [...named, ...changes, ...records.shift(deployment, record, next, reason)];
  }

  return {
    async configure(name, wanted, reason) {
      checkChange(wanted);
      return change(name, reason, (deployment) => configured(deployment, wanted, reason));
    },

    stop: (name, reason) =>
      change(name, reason, async (deployment) => {
        if (deployment.status === 'STOPPED') return [];
        assertIdle(deployment);
        return [
          replaceDeployment(deployment, { status: 'STOPPED' }),
          emit('deployment.stopped', name, { deploymentId: deployment.id, reason }),
        ];
      }),

    start: (name, reason) =>
      change(name, reason, async (deployment) => {
        if (deployment.status !== 'STOPPED') return [];
        const { id, model } = deployment;
        const route = (await routeRecord(id)).body as unknown as Route;
        const { versionId } = stateOf(deployment, route);
        return [
          replaceDeployment(deployment, { status: 'CREATING' }),
          emit('deployment.started', name, { deploymentId: id, versionId, model }),
        ];
      }),

    async remove(name, options) {
      const { reason, graceMs = 60_000 } = checkOptions(removalShape, options, 'remove');
      assertText(name, 'A deployment name');
      assertReason(reason);
      await assertAllowed(scope, 'deployment.deploy', `deployment:${name}`);
      await decideAndCommit(scope, async (): Promise<Decision<undefined>> => {
        const deployment = await get(name);
        if (deployment.status === 'TERMINATING') return { changes: [], result: undefined };
        assertIdle(deployment);
        const removeAt = scope.clock.now() + graceMs;
        return {
          changes: [
            replaceDeployment(deployment, { status: 'TERMINATING', removeAt }),
            emit('deployment.removed', name, { deploymentId: deployment.id, reason }),
          ],
          result: undefined,
          reason,
        };
      });
      return get(name);
    },

    async setVersion(name, versionId, reason) {
      await change(name, reason, async (deployment) => {
        assertIdle(deployment);
        const { id: deploymentId, model } = deployment;
        const unfrozen = await assertUnfrozen(scope, 'rollouts', { model, deploymentId });
        const { version, changes } = await deployable(scope, registry, versionId);
        const record = await routeRecord(deployment.id);
        const before = stateOf(deployment, record.body as unknown as Route);
        const at = scope.clock.now();
        const key = nameOf(version);
        const to = { versionId: version.id, key, cold: [], at, reason };
        const move = moveTraffic(records, deployment, record, to);
        const revision = nextRevision(scope.ids.next(), deployment, {
          ...{ before, after: { ...before, versionId: version.id, version: key } },
          ...{ strategy: 'immediate', rolloutStatus: 'COMPLETED', reason },
          ...{ createdBy: scope.principal.id, at },
        });
        return [
          unfrozen,
          ...changes,
          replaceDeployment(deployment, { ...move.columns, ...revision.columns }, move.body),
          revision.create,
          ...move.changes,
        ];
      });
    },
  };
}

/** What a change has beside a revision: columns and body of the record, and changes of its own. */
interface Aside {
  readonly changes: readonly Change[];
  readonly columns: Readonly<Record<string, string | boolean | undefined>>;
  readonly body?: BodyChange;
}

/** The change of what is no part of a revision: tags, where it answers, and what promotions start. */
function asideOf(deployment: Deployment, wanted: DeploymentChange, now: number): Aside | undefined {
  const { id, tags, endpointUrl, onPromotion } = deployment;
  const after = changedTags(tags, wanted.tags);
  const removed = Object.keys(tags).filter((key) => !Object.hasOwn(after, key));
  const set = Object.entries(after).filter(([key, value]) => tags[key] !== value);
  const tagged = removed.length > 0 || set.length > 0;
  const moved = wanted.endpointUrl !== undefined && wanted.endpointUrl !== (endpointUrl ?? null);
  const follows = wanted.onPromotion;
  if (!tagged && !moved && follows === undefined) return undefined;
  const merge: Change = {
    ...({ op: 'merge', kind: 'deployment', id } as const),
    set: { tags: Object.fromEntries(set) },
    unset: { tags: removed },
  };
  return {
    changes: tagged ? [merge] : [],
    columns: {
      ...(moved ? { endpointUrl: wanted.endpointUrl ?? undefined } : {}),
      ...(follows === undefined ? {} : { followsPromotions: follows === null ? undefined : true }),
    },
    ...(follows === undefined
      ? {}
      : {
          body: { onPromotion: follows === null ? undefined : followed(onPromotion, follows, now) },
        }),
  };
}

/** The route under another configuration of traffic; who answers stays. */
function routeWith(
  { activeRolloutId }: Deployment,
  route: Route,
  { sticky, rules = [], fallbackVersionId }: Parameters<typeof versionsOfTraffic>[0] & object,
): Route {
  const { sticky: _, fallbackVersionId: during, ...rest } = route;
  // While a rollout is under way, the version that it would go back to takes over.
  const fallback = activeRolloutId === undefined ? fallbackVersionId : during;
  return {
    ...rest,
    rules,
    ...(sticky === undefined ? {} : { sticky }),
    ...(fallback === undefined ? {} : { fallbackVersionId: fallback }),
  };
}

/** CONFLICT while a rollout or an A/B test steers the traffic. */
export function assertIdle({ name, activeRolloutId }: Deployment): void {
  if (activeRolloutId === undefined) return;
  throw new KeelsonError(
    'CONFLICT',
    `Deployment ${name} is in rollout ${activeRolloutId}; finish or abort it first.`,
  );
}

/** CONFLICT for a deployment that is being removed. */
export function assertPresent({ name, status }: Deployment): void {
  if (status !== 'TERMINATING') return;
  throw new KeelsonError('CONFLICT', `Deployment ${name} is being removed.`);
}

/** Refuses, as INVALID, a reason that is none. */
export function assertReason(reason: unknown): string {
  if (assertText(reason, 'A reason', 2000).trim() !== '') return reason as string;
  throw new KeelsonError('INVALID', 'A reason says why; it is not blank.');
}
