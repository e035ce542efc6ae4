import type { EvidenceSource } from '../contracts/evidence-source.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route, VersionedRoute } from '../contracts/traffic-router.ts';
import { assertText } from '../json.ts';
import { type Freeze, freezesOf } from '../operations/freezes.ts';
import type { Registry } from '../registry/registry.ts';
import { type AbTests, createAbTests } from './ab-tests.ts';
import type { Deployment } from './deployment.ts';
import { createDeploymentChanges, type DeploymentChanges } from './deployment-changes.ts';
import { type CreateDeployment, createDeployment } from './deployment-creation.ts';
import {
  type DeploymentHealth,
  reportHealth,
  reportScaling,
  type ScalingReport,
} from './deployment-health.ts';
import { type DeploymentFilter, type DeploymentPage, listDeployments } from './deployment-lists.ts';
import { createDeploymentRecords } from './deployment-records.ts';
import { createUpkeepLoop } from './deployment-upkeep.ts';
import { addFigure, type FigureQuery, type Figures, withFigures } from './figures.ts';
import { createPromotionLoop } from './promotions.ts';
import { createRevisions, type Revisions } from './revisions.ts';
import type { StrategySuggestion } from './risk.ts';
import { createRollbackWatches } from './rollback-watches.ts';
import {
  type DeploymentRollback,
  type RollbackDeployment,
  rollBackDeployment,
} from './rollbacks.ts';
import { RolloutEvidence } from './rollout-evidence.ts';
import { createRolloutStarts } from './rollout-start.ts';
import { createRollouts, type Rollouts } from './rollouts.ts';
import { createSuggestions } from './suggestions.ts';
import { createTargetLoop } from './target-checks.ts';

/** From a registered version to an endpoint, and from one version to the next. */
export interface Deployments extends Rollouts, DeploymentChanges, Revisions, AbTests {
  /** CONFLICT for a name that is taken, unless `ifExists` is `reuse`. INVALID names the field. */
  create(options: CreateDeployment): Promise<Deployment>;
  get(name: string): Promise<Deployment>;
  find(name: string): Promise<Deployment | undefined>;
  /** One page, by name. */
  list(filter?: DeploymentFilter): Promise<DeploymentPage>;
  /** Who answers now; its generation rises with every change. */
  route(name: string): Promise<VersionedRoute>;
  /** Every route that was in force, oldest first. */
  routeHistory(
    name: string,
  ): Promise<readonly (VersionedRoute & { readonly at: number; readonly reason?: string })[]>;
  /** All traffic to one version at once, as a revision. CONFLICT while a rollout is under way. */
  setVersion(name: string, versionId: string, reason: string): Promise<VersionedRoute>;
  /**
   * Says how a deployment is in a process that serves it; serving says so by itself. The status follows from what all
   * of them say, and its changes are events.
   */
  reportHealth(name: string, health: DeploymentHealth): Promise<Deployment>;
  /**
   * Back to any earlier revision: its version and how it was run then, with all of the traffic at once. It is watched;
   * where it fails, the next known-good revision follows, and none is tried twice.
   */
  rollback(name: string, options: RollbackDeployment): Promise<DeploymentRollback>;
  /**
   * How risky it is to deploy a version, from what differs between it and what answers now, part by part, and the
   * strategy for that with its numbers. `deploy` takes it by `strategy: 'suggested'`; nothing else follows from it.
   */
  suggestStrategy(name: string, versionId: string): Promise<StrategySuggestion>;
  /**
   * A figure of one's own, for gates of the kind `metric`, in this process: where rollouts are evaluated in several,
   * each needs it. CONFLICT for a name that is taken.
   */
  addFigure(name: string, query: FigureQuery): void;
  /** Says that replicas follow the load in a process that serves the deployment; serving says so by itself. */
  reportScaling(name: string, report: ScalingReport): Promise<void>;
  /** What an alert keeps from happening to the deployment and its model until somebody acknowledges it; oldest first. */
  freezes(name: string): Promise<readonly Freeze[]>;
  /** Resolves where its caller may have the deployment answer requests: for whoever puts serving behind a door. */
  admit(name: string): Promise<void>;
  readonly loops: readonly Loop[];
}

/** Deployments, bound to a scope. `evidence` answers the gates. */
export function createDeployments(
  scope: Scope,
  registry: Registry,
  evidence: () => EvidenceSource,
  figures: Figures = new Map(),
): Deployments {
  const { metadata, workspace } = scope;
  const records = createDeploymentRecords(scope);
  const source = withFigures(figures, evidence);
  const asked = new RolloutEvidence(scope, source);
  const suggestions = createSuggestions(scope, registry, records);
  const starts = createRolloutStarts(scope, registry, records, asked, suggestions);
  const { loop, ...rollouts } = createRollouts(scope, records, starts, asked);
  const watches = createRollbackWatches(scope, registry, records, asked);
  const { setVersion, ...changes } = createDeploymentChanges(scope, registry, records);

  async function route(name: string): Promise<VersionedRoute> {
    const { id } = await records.get(name);
    const record = await records.routeRecord(id);
    return { generation: record.revision, route: record.body as unknown as Route };
  }

  return {
    ...rollouts,
    ...changes,
    ...createAbTests(scope, registry, records, source),
    ...createRevisions(scope, records),
    create: (options) => createDeployment(scope, registry, records, options),
    get: (name) => records.get(name),
    find: (name) => records.find(name),
    list: (filter) => listDeployments(scope, records, filter),
    reportHealth: (name, health) => reportHealth(scope, records, name, health),
    reportScaling: (name, report) => reportScaling(scope, records, name, report),
    route,
    suggestStrategy: (name, versionId) => suggestions.of(name, versionId),
    rollback: (name, options) => rollBackDeployment(scope, registry, records, name, options),
    addFigure: (name, query) => addFigure(figures, name, query),
    freezes: async (name) => freezesOf(scope, (await records.get(name)).model),
    async admit(name) {
      assertText(name, 'The name of a deployment');
    },
    loops: [
      createPromotionLoop(scope, records, starts),
      loop,
      watches.loop,
      createUpkeepLoop(scope, records),
      createTargetLoop(scope, registry, records),
    ],

    async routeHistory(name) {
      const { id } = await records.get(name);
      const entries = await metadata.history(workspace, 'route', id, { limit: 1000 });
      return entries.map((entry) => ({
        generation: entry.revision,
        route: entry.body as unknown as Route,
        at: entry.at,
        ...(entry.reason === undefined ? {} : { reason: entry.reason }),
      }));
    },

    async setVersion(name, versionId, reason) {
      await setVersion(name, versionId, reason);
      return route(name);
    },
  };
}
