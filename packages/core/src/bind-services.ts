import { join } from 'node:path';
import { namedContents } from './backups.ts';
import type { Caretaker } from './contracts/caretaker.ts';
import type { DownloadCache } from './contracts/download-cache.ts';
import type { Loop } from './contracts/loop.ts';
import type { Authorizer, Principal } from './contracts/ports.ts';
import type { Scope } from './contracts/scope.ts';
import { createDeployments, type Deployments } from './deployments/deployments.ts';
import { deploymentsUsing } from './deployments/deployments-using.ts';
import type { Figures } from './deployments/figures.ts';
import { writeBackup } from './embedded/backup.ts';
import type { PlatformStores } from './embedded/open-stores.ts';
import { checkDatabase, compactDatabase } from './embedded/sqlite-snapshot.ts';
import { everyEvent } from './events/archived-events.ts';
import { declareEvents } from './events/declared-events.ts';
import { createEvents } from './events/events.ts';
import { createPlatformEvents } from './events/platform-events.ts';
import { retentionTimes } from './events/retention.ts';
import { createRetentionLoop } from './events/retention-loop.ts';
import type { Owners } from './events/subscription.ts';
import { traceServices } from './events/trace-services.ts';
import { type AllServices, guardServices } from './guard-services.ts';
import { createAnalysisLoop } from './monitoring/analysis-loop.ts';
import { incidentImpact } from './monitoring/incident-impact.ts';
import { createMonitoring, type Monitoring } from './monitoring/monitoring.ts';
import { CountsKeeper, countsDirectory } from './monitoring/predictions/counts-keeper.ts';
import { createResponses } from './monitoring/responses/responses.ts';
import { createSetUpLoop } from './monitoring/set-up/set-up-loop.ts';
import type { AccessAuthorizer } from './operations/access-authorizer.ts';
import { createSealingLoop } from './operations/audit/sealing-loop.ts';
import { collectGarbage } from './operations/garbage.ts';
import type { PlatformHealth } from './operations/health/health.ts';
import { createIncidentLoop } from './operations/incidents/incident-loop.ts';
import { createIncidents } from './operations/incidents/incidents.ts';
import type { LoopReport } from './operations/loop-runner.ts';
import { meteredEvents } from './operations/metrics/metered-events.ts';
import type { Metrics } from './operations/metrics/metrics.ts';
import { platformMetrics } from './operations/metrics/platform-metrics.ts';
import { createNotifications } from './operations/notifiers/notifications.ts';
import {
  createOperations,
  type Operations,
  type OperationsParts,
} from './operations/operations.ts';
import type { WorkspaceQuotas } from './operations/quota-keeper.ts';
import type { AnySaga } from './operations/saga.ts';
import { createSagas } from './operations/sagas.ts';
import type { ExecutorsHere } from './pipelines/executors/executors-here.ts';
import { createPipelines } from './pipelines/pipelines.ts';
import type { Pipelines } from './pipelines/pipelines-types.ts';
import { registryFact } from './pipelines/steps/registry-fact.ts';
import type { StepFunctions } from './pipelines/steps/step-functions.ts';
import { platformCaretakers } from './platform-caretakers.ts';
import { platformKinds } from './platform-kinds.ts';
import type { PlatformOptions } from './platform-options.ts';
import type { PlatformRole } from './platform-roles.ts';
import { ownerFromText, ownerState, ownerText } from './process-owner.ts';
import { createAutomaticPath } from './registry/automation/automatic-path.ts';
import { createAutomationLoop } from './registry/automation/automation-loop.ts';
import { createRegistry, type Registry } from './registry/registry.ts';
import type { RegistryCode, RegistryParts } from './registry/registry-parts.ts';
import { createTransitionSaga } from './registry/stage-effects.ts';
import { optional } from './tracking/run.ts';
import { createTracking, type Tracking, type TrackingParts } from './tracking/tracking.ts';

/** How long a run's process may be silent before the run counts as dead. */
export const heartbeatTimeoutMs = 30_000;

/** The services, bound to one workspace and one principal. */
export interface Services extends AllServices {
  readonly workspace: string;
  readonly principal: Principal;
  readonly tracking: Tracking;
  readonly registry: Registry;
  readonly pipelines: Pipelines;
  readonly deployments: Deployments;
  readonly monitoring: Monitoring;
  readonly operations: Operations;
}

/** The services with what the platform needs of them. */
export interface BoundServices extends Services {
  readonly scope: Scope;
  readonly caretakers: readonly Caretaker[];
  begin(): Promise<void>;
  /** Those of some roles; what belongs to every process is among them. */
  loops(roles: ReadonlySet<PlatformRole>): readonly Loop[];
  subscriptions(): readonly Loop[];
  /** Whether nothing would be missed that is not in somebody's hands. */
  isIdle(): boolean;
  reap(limit: number): Promise<number>;
  close(): Promise<void>;
}

/** Wires the rooms of one workspace and one principal together. */
export function bindServices(
  scope: Scope & { readonly quotas: WorkspaceQuotas },
  parts: {
    readonly stores: PlatformStores;
    readonly options: PlatformOptions;
    readonly functions: StepFunctions;
    readonly executors: ExecutorsHere;
    readonly sagas: Map<string, AnySaga>;
    readonly registryCode: RegistryCode;
    readonly figures: Figures;
    readonly metrics: Metrics;
    readonly downloads: DownloadCache;
    loopReport(): readonly LoopReport[];
    health(): PlatformHealth;
    readonly authorizer: AccessAuthorizer | undefined;
    drive(loop: Loop): () => Promise<void>;
  },
): BoundServices {
  const { stores, options, functions } = parts;
  const trackingParts: TrackingParts = {
    writer: () => stores.writer(),
    heartbeats: stores.heartbeats,
    heartbeatTimeoutMs: options.heartbeatTimeoutMs ?? heartbeatTimeoutMs,
    ...optional('options', options.tracking),
    ...optional('systemMetrics', options.systemMetrics),
  };
  const { noteLostPoints, runCare, ...tracks } = createTracking(scope, trackingParts);
  const { runsInCommits: _, ...tracking } = tracks;
  const enforced = scope.authorizer !== openAuthorizer;
  // Whoever may run a pipeline need not be allowed to log to its runs by hand.
  const tracker = enforced
    ? createTracking({ ...scope, authorizer: openAuthorizer }, trackingParts)
    : tracks;
  const times = retentionTimes(options.events?.retention);
  const counted = meteredEvents(scope, createEvents(scope, owners, parts.drive), parts.metrics);
  const events = createPlatformEvents(scope, counted, {
    declared: declareEvents(options.events?.types),
    times,
  });
  const retention = createRetentionLoop(scope, times, owners);
  const registryParts: RegistryParts = {
    code: parts.registryCode,
    downloads: parts.downloads,
    uses: (versionId) => deploymentsUsing(scope, versionId),
  };
  const { registry, loops: registryLoops } = createRegistry(scope, tracking, registryParts);
  const { workRoot = join(stores.dir, 'work'), ...running } = options.pipelines ?? {};
  const pipelines = createPipelines(scope, {
    ...{ tracker, functions, executors: parts.executors, workRoot, events },
    downloads: parts.downloads,
    facts: { registry: registryFact(registry) },
    ...running,
  });
  const { maxLabelDelayMs, countsDir, analysisMs, alerts, ...predictionLog } =
    options.monitoring ?? {};
  const automate = createAutomaticPath(scope, {
    ...{ tracking, registry },
    async startPipeline(name, parameters, idempotencyKey) {
      const { parameters: schema } = await pipelines.getDefinition(name);
      const declared = (schema?.['properties'] ?? parameters) as Readonly<Record<string, unknown>>;
      const known = Object.entries(parameters).filter(([key]) => Object.hasOwn(declared, key));
      return (await pipelines.start(name, Object.fromEntries(known), { idempotencyKey })).id;
    },
  });
  const predictionCounts = new CountsKeeper(scope, countsDir ?? countsDirectory(stores.dir));
  const {
    setUpWork,
    isStillWanted,
    retention: ageing,
    ...watching
  } = createMonitoring(scope, {
    predictionLog,
    predictionCounts,
    ...optional('compactDatabase', careForDatabase(scope, stores).compactDatabase),
    alerting: { ...alerts, owners },
    ...(maxLabelDelayMs === undefined ? {} : { maxLabelDelayMs }),
  });
  const { figures } = parts;
  const deployments = createDeployments(scope, registry, () => watching.evidence, figures);
  const { loops: responding, ...responses } = createResponses(scope, watching, {
    ...{ pipelines, deployments, registry, tracking, owners, events },
  });
  const monitoring: Monitoring = { ...watching, responses };
  const { notifications, ...telling } = createNotifications(scope, options.notifiers ?? [], {
    ...{ owners, isStillWanted },
  });
  const { effects } = parts.registryCode;
  const applying = createTransitionSaga(scope, effects);
  const sagas = createSagas(scope, {
    ...{ definitions: parts.sagas, owners },
    // A process that brings no effects leaves transitions that have some to those that do.
    bound: () => (effects.size === 0 ? [] : [applying]),
  });
  const { openFor, ...incidents } = createIncidents(scope, {
    events: (correlationId) => everyEvent(scope, { correlationId }, times),
    impact: (id, range) => incidentImpact(scope, monitoring, id, range),
    health: async () => (await parts.health().health({ fresh: true })).status,
  });
  const operationsParts: OperationsParts = {
    ...{ incidents, owners },
    kinds: platformKinds,
    sagas,
    quotas: scope.quotas,
    ...optional('authorizer', parts.authorizer),
    notifications,
    health: () => parts.health(),
    metrics: () =>
      platformMetrics(scope, parts.metrics, {
        points: () => (stores.hasWriter() ? stores.writer().health() : undefined),
        loops: () => parts.loopReport(),
        connections: () => options.metadata?.connections?.(),
        notifiers: telling.names,
      }),
    caretakers: platformCaretakers(scope, {
      ...{
        options,
        runCare,
        times,
        evaluate: monitoring.evaluate,
        predictions: ageing.caretaker,
        quotas: scope.quotas,
        notifiers: telling.names,
      },
      registry: registryParts,
      loops: {
        pipelines: pipelines.loops,
        deployments: deployments.loops,
        sagas: sagas.loops,
        subscriptions: () => events.loops,
      },
    }),
    collectLeftovers: (olderThanMs) => stores.artifacts.collectLeftovers(olderThanMs),
    ...careForDatabase(scope, stores),
  };
  const operations = createOperations(scope, operationsParts);
  // What is full is collected whoever filled it.
  scope.quotas.onFull(() =>
    collectGarbage({ ...scope, authorizer: openAuthorizer }, operationsParts),
  );
  const reaper: Loop = {
    name: 'reaper',
    idleMs: 10_000,
    runOnce: async () => {
      stores.adoptSpools();
      return (await tracking.reap()) > 0;
    },
  };
  const rooms = { tracking, registry, pipelines, deployments, monitoring, events, operations };
  const services = traceServices(rooms);
  return {
    scope,
    caretakers: operationsParts.caretakers,
    workspace: scope.workspace,
    principal: scope.principal,
    ...(enforced ? guardServices(scope, services) : services),
    begin() {
      predictionCounts.tellLost();
      return telling.subscribe(events);
    },
    reap: (limit) => tracking.reap({ limit }),
    subscriptions: () => events.loops,
    isIdle: () => events.loops.length === 0 && monitoring.predictions.health().pending === 0,
    loops: (roles) => [
      // What this process has left, and what it has subscribed to, no other can do.
      reaper,
      ...events.loops,
      ...(roles.has('worker')
        ? [
            retention,
            createSealingLoop(scope, owners),
            createAutomationLoop(scope, { handle: automate, subscribe: events.subscribe }),
            ...pipelines.loops,
            ...deployments.loops,
            ...registryLoops,
            ...sagas.loops,
          ]
        : []),
      ...(roles.has('monitor')
        ? [
            createIncidentLoop({ openFor, subscribe: events.subscribe }),
            createSetUpLoop(setUpWork, events.subscribe),
            ageing.loop,
            ...responding,
            createAnalysisLoop(scope, monitoring, analysisMs),
            ...watching.alertingLoops,
            ...telling.loops,
          ]
        : []),
    ],
    async close() {
      await pipelines.close();
      await monitoring.close();
      if (stores.hasWriter()) await noteLostPoints();
    },
  };
}

/** Backup and check of the embedded database; nothing where records or series lie elsewhere. */
function careForDatabase(
  scope: Scope,
  stores: PlatformStores,
): Pick<OperationsParts, 'backUp' | 'checkDatabase' | 'compactDatabase'> {
  const { databasePath } = stores;
  if (databasePath === undefined) return {};
  return {
    checkDatabase: (signal) =>
      checkDatabase(databasePath, { immutable: false, ...optional('signal', signal) }),
    compactDatabase: async () => (await compactDatabase(databasePath)).length === 0,
    async backUp(dir, options) {
      // What this process has logged before is in it; others' points are up to their flush interval behind.
      await stores.writer().flush(optional('signal', options.signal));
      const source = { databasePath, artifacts: stores.artifacts, named: namedContents };
      return await writeBackup(source, dir, { ...options, now: () => scope.clock.now() });
    },
  };
}

const owners: Owners = {
  get self() {
    return ownerText();
  },
  dead: (all) => all.filter((owner) => ownerState(ownerFromText(owner)) === 'dead'),
};

/** Without an authorizer of the user's, everybody in the process may do everything. */
export const openAuthorizer: Authorizer = {
  authorize: async () => ({ allowed: true, reason: 'no authorizer is configured' }),
};
