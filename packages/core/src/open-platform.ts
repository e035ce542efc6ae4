import { userInfo } from 'node:os';
import { namedContents } from './backups.ts';
import type { Caretaker } from './contracts/caretaker.ts';
import { auditKinds } from './contracts/kinds/audit-kinds.ts';
import { deploymentsKinds } from './contracts/kinds/deployments-kinds.ts';
import { eventArchiveKinds } from './contracts/kinds/event-archive-kinds.ts';
import { eventKinds } from './contracts/kinds/event-kinds.ts';
import { healthKinds } from './contracts/kinds/health-kinds.ts';
import { incidentKinds } from './contracts/kinds/incident-kinds.ts';
import { monitoringKinds } from './contracts/kinds/monitoring-kinds.ts';
import { notificationKinds } from './contracts/kinds/notification-kinds.ts';
import { operationsKinds } from './contracts/kinds/operations-kinds.ts';
import { pipelinesKinds } from './contracts/kinds/pipelines-kinds.ts';
import { registryKinds } from './contracts/kinds/registry-kinds.ts';
import { sagaKinds } from './contracts/kinds/saga-kinds.ts';
import { trackingKinds } from './contracts/kinds/tracking-kinds.ts';
import type { Loop } from './contracts/loop.ts';
import type { Authorizer, Principal } from './contracts/ports.ts';
import type { KindDeclaration } from './contracts/record.ts';
import type { Scope } from './contracts/scope.ts';
import { createDeployments, type Deployments } from './deployments/deployments.ts';
import { writeBackup } from './embedded/backup.ts';
import { openStores, type PlatformStores } from './embedded/open-stores.ts';
import { checkDatabase, compactDatabase } from './embedded/sqlite-snapshot.ts';
import { KeelsonError } from './errors.ts';
import { everyEvent } from './events/archived-events.ts';
import { correlatedLogger } from './events/correlated-logger.ts';
import { declareEvents } from './events/declared-events.ts';
import { createEvents } from './events/events.ts';
import { createPlatformEvents, type PlatformEvents } from './events/platform-events.ts';
import { retentionTimes } from './events/retention.ts';
import { createRetentionLoop } from './events/retention-loop.ts';
import type { Owners } from './events/subscription.ts';
import { traceServices } from './events/trace-services.ts';
import { type AllServices, guardServices } from './guard-services.ts';
import { incidentImpact } from './monitoring/incident-impact.ts';
import { createMonitoring, type Monitoring } from './monitoring/monitoring.ts';
import { predictionLogCheck } from './monitoring/monitoring-checks.ts';
import { type AccessAuthorizer, platformPrincipal } from './operations/access-authorizer.ts';
import { auditedStore } from './operations/audit/audited-store.ts';
import { createSealingLoop } from './operations/audit/sealing-loop.ts';
import type { Credentials } from './operations/authenticate.ts';
import { collectGarbage } from './operations/garbage.ts';
import { collectStorage } from './operations/health/collect-storage.ts';
import { createHealth, type PlatformHealth } from './operations/health/health.ts';
import { loopCheck } from './operations/health/loop-checks.ts';
import { machineChecks } from './operations/health/machine-checks.ts';
import { healthWorkspace, storeChecks } from './operations/health/store-checks.ts';
import { createIncidentLoop } from './operations/incidents/incident-loop.ts';
import { createIncidents } from './operations/incidents/incidents.ts';
import { type LoopReport, LoopRunner } from './operations/loop-runner.ts';
import { meteredEvents } from './operations/metrics/metered-events.ts';
import { meteredStore } from './operations/metrics/metered-store.ts';
import { Metrics } from './operations/metrics/metrics.ts';
import { platformMetrics } from './operations/metrics/platform-metrics.ts';
import { createNotifications } from './operations/notifiers/notifications.ts';
import {
  createOperations,
  type Operations,
  type OperationsParts,
} from './operations/operations.ts';
import { createPlatformAccess, type PlatformAccess } from './operations/platform-access.ts';
import { Policies, policedArtifacts, policedMetadata } from './operations/policed-stores.ts';
import { createQuotaKeeper, type WorkspaceQuotas } from './operations/quota-keeper.ts';
import type { AnySaga } from './operations/saga.ts';
import { createSagas } from './operations/sagas.ts';
import { stderrLogger } from './operations/stderr-logger.ts';
import { createPipelines, type Pipelines } from './pipelines/pipelines.ts';
import { StepFunctions } from './pipelines/step-functions.ts';
import { platformCaretakers } from './platform-caretakers.ts';
import {
  type AccessOptions,
  checkPlatformOptions,
  checkServicesOptions,
  type PlatformOptions,
  type ServicesOptions,
} from './platform-options.ts';
import { probeChecks } from './probe-checks.ts';
import { ownerFromText, ownerState, ownerText } from './process-owner.ts';
import { RecentlyUsed } from './recently-used.ts';
import { createRegistry, type Registry } from './registry/registry.ts';
import { optional } from './tracking/run.ts';
import { createTracking, type Tracking, type TrackingParts } from './tracking/tracking.ts';
import { uuidV7 } from './uuid.ts';

/** The kinds of record that the services keep. */
export const platformKinds: readonly KindDeclaration[] = [
  ...eventKinds,
  ...eventArchiveKinds,
  ...trackingKinds,
  ...registryKinds,
  ...pipelinesKinds,
  ...deploymentsKinds,
  ...monitoringKinds,
  ...operationsKinds,
  ...notificationKinds,
  ...sagaKinds,
  ...healthKinds,
  ...auditKinds,
  ...incidentKinds,
];

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

/** An open platform. */
export interface Platform extends Services, AsyncDisposable {
  /** The directory of the embedded default, and of what is local. */
  readonly dir: string;
  /** The same services for another workspace or person; hold on to them while they log predictions. */
  as(other: ServicesOptions): Services;
  /**
   * Who a bearer is: an API key of `operations.access`, or a token of `access.tokens`. For `as`, with each
   * request. FORBIDDEN, saying why, for one that proves nothing; UNAVAILABLE when the issuer's keys cannot
   * be fetched; UNSUPPORTED where the platform was opened without `access`.
   */
  authenticate(credentials: Credentials): Promise<Principal>;
  /**
   * Starts the background work of this process: subscriptions (also those made later, and those of other
   * workspaces and persons), reaper, pipelines, rollouts. It keeps no process alive. Twice is fine.
   */
  start(): void;
  /**
   * Stops the background work, makes metric points durable, closes what was opened here; afterwards
   * everything rejects with CLOSED. TIMEOUT when points could be made durable neither in the store nor in
   * the spool within `timeoutMs` (10,000 when left out). Twice is fine.
   */
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
}

/**
 * Opens a platform: on a directory (`.keelson` when left out), or on backends that are handed over.
 * INVALID for options that it does not know, INCOMPATIBLE for what a newer version has written,
 * UNAVAILABLE for a directory or a server that cannot be used; each says what to do.
 */
export async function openPlatform(options: PlatformOptions = {}): Promise<Platform> {
  const given = checkPlatformOptions(options);
  const { memoryBytes, ...points } = given.metrics ?? {};
  const stores = await openStores({
    dir: given.dir ?? '.keelson',
    kinds: platformKinds,
    metadata: given.metadata,
    series: given.series,
    artifacts: given.artifacts,
    logger: portsOf(given).logger,
    points: {
      ...points,
      heartbeatMs: Math.ceil((given.heartbeatTimeoutMs ?? heartbeatTimeoutMs) / 6),
      ...(memoryBytes === undefined ? {} : { ringBytes: memoryBytes }),
    },
  });
  const platform = new OpenPlatform(given, stores);
  return platform.begin();
}

const heartbeatTimeoutMs = 30_000;
/** How many dead runs opening a platform marks; listing runs and the reaper go on. */
const reapedAtOpening = 20;
/** How many persons' services are kept ready; those of others are made when they are asked for. */
const keptBindings = 256;

class OpenPlatform implements Platform {
  readonly dir: string;
  readonly #stores: PlatformStores;
  readonly #options: PlatformOptions;
  readonly #access: PlatformAccess | undefined;
  readonly #quotas = new Map<string, WorkspaceQuotas>();
  readonly #functions = new StepFunctions();
  readonly #sagas = new Map<string, AnySaga>();
  readonly #metrics = new Metrics();
  readonly #policies: Policies;
  readonly #bound = new RecentlyUsed<BoundServices>(
    keptBindings,
    (bound) => bound !== this.#home && bound.isIdle(),
  );
  readonly #home: BoundServices;
  /** Whose loops run. */
  #keeper: BoundServices | undefined;
  readonly #reaping: Promise<void>;
  readonly #stops = new Map<Loop, () => Promise<void>>();
  #runner: LoopRunner | undefined;
  #health: PlatformHealth | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: PlatformOptions, stores: PlatformStores) {
    this.dir = stores.dir;
    this.#options = options;
    this.#policies = new Policies(portsOf(options).logger);
    // Our own files need no breaker.
    const metadata =
      options.metadata === undefined
        ? stores.metadata
        : policedMetadata(stores.metadata, this.#policies);
    const artifacts =
      options.artifacts === undefined
        ? stores.artifacts
        : policedArtifacts(stores.artifacts, this.#policies);
    const counted = meteredStore(metadata, this.#metrics);
    this.#stores = { ...stores, artifacts, metadata: auditedStore(counted, portsOf(options)) };
    const workspace = options.workspace ?? 'default';
    const principal = options.principal ?? localPrincipal();
    this.#access = this.#openAccess(workspace, principal);
    this.#home = this.#bind(workspace, principal);
    this.#reaping = this.#reap();
  }

  /** Subscribes the notifiers, so that nothing which happens from now on is missed; then it is open. */
  async begin(): Promise<this> {
    try {
      await this.#home.begin();
      return this;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  get workspace(): string {
    return this.#home.workspace;
  }

  get principal(): Principal {
    return this.#home.principal;
  }

  get tracking(): Tracking {
    return this.#home.tracking;
  }

  get registry(): Registry {
    return this.#home.registry;
  }

  get pipelines(): Pipelines {
    return this.#home.pipelines;
  }

  get deployments(): Deployments {
    return this.#home.deployments;
  }

  get monitoring(): Monitoring {
    return this.#home.monitoring;
  }

  get events(): PlatformEvents {
    return this.#home.events;
  }

  get operations(): Operations {
    return this.#home.operations;
  }

  as(other: ServicesOptions): Services {
    this.#assertOpen();
    const { workspace, principal, tracking } = checkServicesOptions(other);
    return this.#bind(workspace ?? this.workspace, principal ?? this.principal, tracking);
  }

  async authenticate(credentials: Credentials): Promise<Principal> {
    this.#assertOpen();
    if (this.#access !== undefined) return this.#access.authenticate(credentials);
    throw new KeelsonError(
      'UNSUPPORTED',
      'This platform was opened without access; openPlatform({ access: true }) knows keys and tokens.',
    );
  }

  start(): void {
    this.#assertOpen();
    this.#runner ??= new LoopRunner(this.#home.scope.logger);
    for (const loop of [...this.#keep().loops(), ...this.#openHealth().loops]) this.#run(loop);
    for (const bound of this.#bound.values()) {
      for (const loop of bound.subscriptions()) this.#run(loop);
    }
  }

  /** What the platform does by itself, nobody's rights may stop. */
  #keep(): BoundServices {
    this.#keeper ??=
      this.#access === undefined ? this.#home : this.#bind(this.workspace, platformPrincipal);
    return this.#keeper;
  }

  #openHealth(): PlatformHealth {
    const { scope, caretakers } = this.#keep();
    this.#health ??= createHealth(scope, [
      ...caretakers,
      {
        component: 'operations',
        checks: [
          ...storeChecks(scope, this.#stores.artifacts.space(healthWorkspace)),
          ...machineChecks(scope, this.dir),
          loopCheck(() => this.#runner?.report() ?? []),
          this.#policies.check(),
          ...probeChecks(() => {
            const services = this.#bind(healthWorkspace, platformPrincipal);
            return { scope: services.scope, services };
          }),
          predictionLogCheck(() =>
            [...this.#bound.values()].map(({ monitoring }) => monitoring.predictions),
          ),
        ],
        recoveries: [
          collectStorage(this.dir, {
            collect: (signal) => this.#keep().operations.gc({ signal }),
            collectLeftovers: (ms) => this.#stores.artifacts.collectLeftovers(ms),
          }),
        ],
      },
    ]);
    return this.#health;
  }

  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMs ?? 10_000);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Closes all there is, also when a part cannot be closed; then rejects with what the first said. */
  async #close(timeoutMs: number): Promise<void> {
    await this.#runner?.stop(timeoutMs);
    await this.#health?.close();
    await this.#reaping;
    const closed = await Promise.allSettled(this.#bound.values().map((bound) => bound.close()));
    await this.#access?.settle();
    closed.push(...(await Promise.allSettled([this.#stores.close({ timeoutMs })])));
    const fault = closed.find((each) => each.status === 'rejected');
    if (fault !== undefined) throw fault.reason;
  }

  /** Marks runs whose process died, beside whatever the caller does; never a reason to fail. */
  async #reap(): Promise<void> {
    try {
      await this.#home.reap(reapedAtOpening);
    } catch (error) {
      const fields = { component: 'tracking', error };
      this.#home.scope.logger.warn(fields, 'Runs of dead processes could not be marked.');
    }
  }

  #run(loop: Loop): void {
    if (this.#runner === undefined || this.#stops.has(loop)) return;
    this.#stops.set(loop, this.#runner.add(loop));
  }

  /** Runs a loop as soon as loops run; answers what stops it. */
  #drive(loop: Loop): () => Promise<void> {
    this.#run(loop);
    return async () => {
      const stop = this.#stops.get(loop);
      this.#stops.delete(loop);
      await stop?.();
    };
  }

  #bind(workspace: string, principal: Principal, tracking = this.#options.tracking): BoundServices {
    const { id, roles, scopes, credential } = principal;
    const own = principal === platformPrincipal;
    const key = JSON.stringify([workspace, id, roles, scopes, credential, own, tracking]);
    let bound = this.#bound.get(key);
    if (bound === undefined) {
      const scope = this.#scope(workspace, principal);
      bound = bindServices(scope, {
        stores: this.#stores,
        options: tracking === undefined ? this.#options : { ...this.#options, tracking },
        functions: this.#functions,
        sagas: this.#sagas,
        metrics: this.#metrics,
        loopReport: () => this.#runner?.report() ?? [],
        health: () => this.#openHealth(),
        authorizer: this.#access?.authorizer,
        drive: (loop) => this.#drive(loop),
      });
      this.#bound.set(key, bound);
    }
    return bound;
  }

  #scope(workspace: string, principal: Principal): Scope & { readonly quotas: WorkspaceQuotas } {
    const { metadata, series, artifacts } = this.#stores;
    const quotas = this.#quotasOf(workspace);
    const options = this.#options;
    return {
      workspace,
      principal,
      metadata,
      series,
      artifacts: quotas.guarding(artifacts.space(workspace)),
      quotas,
      artifactUri: (sha256) => artifacts.uri(workspace, sha256),
      ...portsOf(options),
      authorizer: this.#access?.authorizer ?? options.authorizer ?? openAuthorizer,
    };
  }

  /** One keeper for all who work in a workspace. */
  #quotasOf(workspace: string): WorkspaceQuotas {
    let keeper = this.#quotas.get(workspace);
    if (keeper === undefined) {
      const { metadata, artifacts } = this.#stores;
      const principal = platformPrincipal;
      const scope = { ...portsOf(this.#options), metadata, workspace, principal };
      keeper = createQuotaKeeper(scope, artifacts.space(workspace));
      this.#quotas.set(workspace, keeper);
    }
    return keeper;
  }

  #openAccess(home: string, principal: Principal): PlatformAccess | undefined {
    const { access } = this.#options;
    if (access === undefined) return undefined;
    const { owners = [principal.id], ...rest }: AccessOptions = access === true ? {} : access;
    const { metadata } = this.#stores;
    return createPlatformAccess({ ...portsOf(this.#options), ...rest, metadata, home, owners });
  }

  #assertOpen(): void {
    if (this.#closing === undefined) return;
    throw new KeelsonError('CLOSED', 'This platform is closed; open another with openPlatform().');
  }
}

interface BoundServices extends Services {
  readonly scope: Scope;
  readonly caretakers: readonly Caretaker[];
  begin(): Promise<void>;
  loops(): readonly Loop[];
  subscriptions(): readonly Loop[];
  /** Whether nothing would be missed that is not in somebody's hands. */
  isIdle(): boolean;
  reap(limit: number): Promise<number>;
  close(): Promise<void>;
}

function bindServices(
  scope: Scope & { readonly quotas: WorkspaceQuotas },
  parts: {
    readonly stores: PlatformStores;
    readonly options: PlatformOptions;
    readonly functions: StepFunctions;
    readonly sagas: Map<string, AnySaga>;
    readonly metrics: Metrics;
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
  const { noteLostPoints, runCare, ...tracking } = createTracking(scope, trackingParts);
  const enforced = scope.authorizer !== openAuthorizer;
  // Whoever may run a pipeline need not be allowed to log to its runs by hand.
  const tracker = enforced
    ? createTracking({ ...scope, authorizer: openAuthorizer }, trackingParts)
    : tracking;
  const times = retentionTimes(options.events?.retention);
  const counted = meteredEvents(scope, createEvents(scope, owners, parts.drive), parts.metrics);
  const events = createPlatformEvents(scope, counted, {
    declared: declareEvents(options.events?.types),
    times,
  });
  const retention = createRetentionLoop(scope, times, owners);
  const registry = createRegistry(scope, tracking);
  const pipelines = createPipelines(scope, { tracker, functions });
  const { maxLabelDelayMs, ...predictionLog } = options.monitoring ?? {};
  const monitoring = createMonitoring(scope, {
    predictionLog,
    ...(maxLabelDelayMs === undefined ? {} : { maxLabelDelayMs }),
  });
  const deployments = createDeployments(scope, registry, () => monitoring.evidence);
  const { notifications, ...telling } = createNotifications(scope, options.notifiers ?? [], owners);
  const sagas = createSagas(scope, { definitions: parts.sagas, owners });
  const { openFor, ...incidents } = createIncidents(scope, {
    events: (correlationId) => everyEvent(scope, { correlationId }, times),
    impact: (id, range) => incidentImpact(scope, monitoring, id, range),
    health: async () => (await parts.health().health({ fresh: true })).status,
  });
  const operationsParts: OperationsParts = {
    incidents,
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
        quotas: scope.quotas,
        notifiers: telling.names,
      },
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
    begin: () => telling.subscribe(events),
    reap: (limit) => tracking.reap({ limit }),
    subscriptions: () => events.loops,
    isIdle: () => events.loops.length === 0 && monitoring.predictions.health().pending === 0,
    loops: () => [
      reaper,
      retention,
      createSealingLoop(scope, owners),
      createIncidentLoop({ openFor, subscribe: events.subscribe }),
      ...events.loops,
      ...pipelines.loops,
      ...deployments.loops,
      ...sagas.loops,
      ...telling.loops,
    ],
    async close() {
      await pipelines.close();
      await monitoring.close();
      if (stores.hasWriter()) await noteLostPoints();
    },
  };
}

function portsOf(options: PlatformOptions): Pick<Scope, 'clock' | 'ids' | 'logger'> {
  return {
    clock: options.clock ?? { now: () => Date.now() },
    ids: options.ids ?? { next: () => uuidV7() },
    logger: correlatedLogger(options.logger ?? stderrLogger),
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
const openAuthorizer: Authorizer = {
  authorize: async () => ({ allowed: true, reason: 'no authorizer is configured' }),
};

function localPrincipal(): Principal {
  let name: string;
  try {
    name = userInfo().username;
  } catch (error) {
    // A container's user may have no entry in the password file.
    name = `uid-${process.getuid?.() ?? (error as Error).name}`;
  }
  return { id: `user:${name}`, roles: ['admin'] };
}
