import { userInfo } from 'node:os';
import { join } from 'node:path';
import {
  type BoundServices,
  bindServices,
  heartbeatTimeoutMs,
  openAuthorizer,
  type Services,
} from './bind-services.ts';
import type { Loop } from './contracts/loop.ts';
import type { Principal } from './contracts/ports.ts';
import type { Scope } from './contracts/scope.ts';
import type { Deployments } from './deployments/deployments.ts';
import type { Figures } from './deployments/figures.ts';
import { FileDownloadCache } from './embedded/download-cache.ts';
import { openStores, type PlatformStores } from './embedded/open-stores.ts';
import { ProcessExecutor } from './embedded/processes/process-executor.ts';
import { ThreadExecutor } from './embedded/processes/thread-executor.ts';
import { KeelsonError } from './errors.ts';
import { correlatedLogger } from './events/correlated-logger.ts';
import type { PlatformEvents } from './events/platform-events.ts';
import type { Monitoring } from './monitoring/monitoring.ts';
import { predictionLogCheck } from './monitoring/monitoring-checks.ts';
import { platformPrincipal } from './operations/access-authorizer.ts';
import { auditedStore } from './operations/audit/audited-store.ts';
import type { Credentials } from './operations/authenticate.ts';
import { collectStorage } from './operations/health/collect-storage.ts';
import { createHealth, type PlatformHealth } from './operations/health/health.ts';
import { loopCheck } from './operations/health/loop-checks.ts';
import { machineChecks } from './operations/health/machine-checks.ts';
import { healthWorkspace, storeChecks } from './operations/health/store-checks.ts';
import { LoopRunner } from './operations/loop-runner.ts';
import { meteredStore } from './operations/metrics/metered-store.ts';
import { Metrics } from './operations/metrics/metrics.ts';
import type { Operations } from './operations/operations.ts';
import { createPlatformAccess, type PlatformAccess } from './operations/platform-access.ts';
import { Policies, policedArtifacts, policedMetadata } from './operations/policed-stores.ts';
import { createQuotaKeeper, type WorkspaceQuotas } from './operations/quota-keeper.ts';
import type { AnySaga } from './operations/saga.ts';
import { stderrLogger } from './operations/stderr-logger.ts';
import { createExecutors, type ExecutorsHere } from './pipelines/executors/executors-here.ts';
import type { Pipelines } from './pipelines/pipelines-types.ts';
import { StepFunctions } from './pipelines/steps/step-functions.ts';
import { platformKinds } from './platform-kinds.ts';
import {
  type AccessOptions,
  checkPlatformOptions,
  checkServicesOptions,
  type PlatformOptions,
  type ServicesOptions,
} from './platform-options.ts';
import { type BackgroundOptions, checkRoles, platformRoles } from './platform-roles.ts';
import { probeChecks } from './probe-checks.ts';
import { RecentlyUsed } from './recently-used.ts';
import type { Registry } from './registry/registry.ts';
import type { RegistryCode } from './registry/registry-parts.ts';
import type { RemotePlatform } from './remote/open-remote.ts';
import { type RemoteOptions, remoteOptions } from './remote/remote-options.ts';
import type { Tracking } from './tracking/tracking.ts';
import { uuidV7 } from './uuid.ts';

export type { Services } from './bind-services.ts';

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
   * workspaces and persons), reaper, pipelines, rollouts, monitoring. It keeps no process alive. Twice is fine. With
   * `roles` only the work of those: several processes on one store divide it among them, and each role is to be
   * somewhere. INVALID for a role that there is not.
   */
  start(options?: BackgroundOptions): void;
  /**
   * Stops the background work, makes metric points durable, closes what was opened here; afterwards
   * everything rejects with CLOSED. TIMEOUT when points could be made durable neither in the store nor in
   * the spool within `timeoutMs` (10,000 when left out). Twice is fine.
   */
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
}

/**
 * Opens a platform: on a directory (that of `KEELSON_DIR`, or `.keelson`, when left out), on backends that are handed
 * over, or one elsewhere by its address (`url`, or `KEELSON_URL`), of which there are tracking and registry.
 * INVALID for options that it does not know, INCOMPATIBLE for what a newer version has written,
 * UNAVAILABLE for a directory or a server that cannot be used; each says what to do.
 */
export function openPlatform(options: RemoteOptions): Promise<RemotePlatform>;
export function openPlatform(options?: PlatformOptions): Promise<Platform>;
export async function openPlatform(
  options: PlatformOptions = {},
): Promise<Platform | RemotePlatform> {
  const given = checkPlatformOptions(options);
  const remote = remoteOptions(given);
  if (remote !== undefined) {
    // A platform that is here need not know how others are reached.
    const { openRemote, withoutTheRest } = await import('./remote/open-remote.ts');
    return withoutTheRest(await openRemote(remote));
  }
  const { memoryBytes, ...points } = given.metrics ?? {};
  const stores = await openStores({
    dir: given.dir ?? (process.env['KEELSON_DIR'] || '.keelson'),
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

/** How many dead runs opening a platform marks; listing runs and the reaper go on. */
const reapedAtOpening = 20;
const defaultCacheBytes = 10 * 2 ** 30;
/** How many persons' services are kept ready; those of others are made when they are asked for. */
const keptBindings = 256;

class OpenPlatform implements Platform {
  readonly dir: string;
  readonly #stores: PlatformStores;
  readonly #options: PlatformOptions;
  readonly #access: PlatformAccess | undefined;
  readonly #quotas = new Map<string, WorkspaceQuotas>();
  readonly #functions = new StepFunctions();
  readonly #executors: ExecutorsHere;
  readonly #sagas = new Map<string, AnySaga>();
  readonly #registryCode: RegistryCode = { checks: new Map(), effects: new Map() };
  readonly #figures: Figures = new Map();
  readonly #metrics = new Metrics();
  readonly #downloads: FileDownloadCache;
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
    const { dir = join(stores.dir, 'cache', 'downloads'), maxBytes = defaultCacheBytes } =
      options.downloadCache ?? {};
    this.#downloads = new FileDownloadCache({ dir, maxBytes, logger: portsOf(options).logger });
    this.#executors = createExecutors(options.executors ?? [], {
      process: () => new ProcessExecutor({ stateDir: join(stores.dir, 'executors', 'process') }),
      thread: () => new ThreadExecutor(),
    });
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

  start({ roles = platformRoles }: BackgroundOptions = {}): void {
    this.#assertOpen();
    const asked = checkRoles(roles);
    this.#runner ??= new LoopRunner(this.#home.scope.logger);
    for (const loop of [...this.#keep().loops(asked), ...this.#openHealth().loops]) this.#run(loop);
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
    closed.push(...(await Promise.allSettled([this.#executors.close()])));
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
        executors: this.#executors,
        sagas: this.#sagas,
        registryCode: this.#registryCode,
        figures: this.#figures,
        metrics: this.#metrics,
        downloads: this.#downloads,
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
      ...(options.keys === undefined ? {} : { keys: options.keys }),
      ...(options.trustedKeys === undefined ? {} : { trustedKeys: options.trustedKeys }),
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

function portsOf(options: PlatformOptions): Pick<Scope, 'clock' | 'ids' | 'logger'> {
  return {
    clock: options.clock ?? { now: () => Date.now() },
    ids: options.ids ?? { next: () => uuidV7() },
    logger: correlatedLogger(options.logger ?? stderrLogger),
  };
}

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
