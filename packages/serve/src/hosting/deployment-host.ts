import { type Clock, KeelsonError, type Logger, type Route } from '@keelson/core';
import { FindingCounts } from '../checks/finding-counts.ts';
import type { InProcessRouter } from '../routing/in-process-router.ts';
import type { ScalingSignals } from '../scaling/version-scaler.ts';
import type { ServedRoute, ServingSource } from '../serving-source.ts';
import { type CallerOption, compileCaller } from './caller-facts.ts';
import { type ChosenVersion, DeploymentInference } from './deployment-inference.ts';
import type { DeploymentStatus } from './deployment-status.ts';
import type { InferCall, InferResult } from './infer-call.ts';
import { InferenceCounts } from './inference-counts.ts';
import { LoadFollower } from './load-follower.ts';
import { type LoadedVersion, type ReplicaSettings, settingsKey } from './loaded-version.ts';
import { PredictionLog } from './prediction-log.ts';
import { ShadowLane } from './shadow-lane.ts';
import { asKeelsonError, VersionShelf } from './version-shelf.ts';

/** What a host is made of. */
export interface DeploymentHostOptions {
  readonly deployment: string;
  readonly source: ServingSource;
  readonly router: InProcessRouter;
  readonly replicas: ReplicaSettings;
  /** How long old versions may take to finish what they have. */
  readonly drainMs: number;
  readonly maxShadows: number;
  readonly clock: Clock;
  readonly logger: Logger | undefined;
  readonly signals?: ScalingSignals | undefined;
  readonly caller?: CallerOption | undefined;
}

/**
 * One deployment in this process: follows its route, holds the replicas of the versions that the route names, and
 * answers requests. A new version is loaded and warmed beside the old; then the route is swapped in one step, and
 * what is no longer named finishes its requests and stops. While a version of a new route cannot be
 * loaded, the route in force stays.
 */
export class DeploymentHost {
  readonly deployment: string;
  readonly counts: InferenceCounts = new InferenceCounts();
  /** What answer checks have found since this host was made. */
  readonly findings: FindingCounts = new FindingCounts();
  readonly #options: DeploymentHostOptions;
  readonly #versions: VersionShelf;
  readonly #shadows: ShadowLane;
  readonly #inference: DeploymentInference;
  readonly #follower: LoadFollower;
  #closed = false;
  #wanted: ServedRoute | undefined;
  #inForce: ServedRoute | undefined;
  #error: KeelsonError | undefined;
  #unloaded = false;
  #stopped = false;
  #syncing:
    | { readonly generation: number; readonly key: string; readonly done: Promise<void> }
    | undefined;

  constructor(options: DeploymentHostOptions) {
    this.deployment = options.deployment;
    this.#options = options;
    this.#versions = new VersionShelf(options);
    this.#shadows = new ShadowLane(
      { maxWaiting: options.maxShadows, concurrency: Math.max(1, options.replicas.replicas) * 4 },
      () => [...this.#versions.values()].some(({ pool }) => pool.queued > 0),
    );
    const { source, router, clock } = options;
    this.#follower = new LoadFollower({ ...options, versions: this.#versions });
    this.#inference = new DeploymentInference({
      ...{ versions: this.#versions, shadows: this.#shadows, router, clock, sink: source.sink },
      ...{ counts: this.counts, findings: this.findings },
      choose: (call) => this.#choose(call),
      fallback: () => this.#inForce?.route.fallbackVersionId,
      log: new PredictionLog(
        source.sink,
        () => this.#inForce?.route.sticky,
        compileCaller(options.caller, options.deployment, options.logger),
      ),
    });
  }

  /** Known once a route is in force. */
  get deploymentId(): string | undefined {
    return this.#inForce?.route.deploymentId;
  }

  /** From a request's arrival until its answer, where the deployment says so itself. */
  get timeoutMs(): number | undefined {
    return this.#inForce?.serving?.timeoutMs;
  }

  /** Whether requests are answered: a target that has weight, or the fallback, has a live replica. */
  get isReady(): boolean {
    const route = this.#inForce?.route;
    if (route === undefined) return false;
    const answering = route.targets.filter(({ weightPercent }) => weightPercent > 0);
    const ids = [...answering.map(({ versionId }) => versionId), route.fallbackVersionId];
    return ids.some((id) => id !== undefined && this.#answers(id));
  }

  /** Whether {@link unload} has taken it down. */
  get isUnloaded(): boolean {
    return this.#unloaded;
  }

  /** The versions that can be asked for, the one with the greatest weight first. */
  get versions(): readonly LoadedVersion[] {
    const weights = new Map(
      this.#inForce?.route.targets.map((t) => [t.versionId, t.weightPercent]),
    );
    const weightOf = ({ model }: LoadedVersion): number => weights.get(model.versionId) ?? -1;
    return [...this.#versions.values()].sort((a, b) => weightOf(b) - weightOf(a));
  }

  /** The version of that number or id. NOT_FOUND when it is not loaded here. */
  getVersion(name: string): LoadedVersion {
    for (const version of this.#versions.values()) {
      if (version.model.version === name || version.model.versionId === name) return version;
    }
    const known = this.versions.map(({ model }) => model.version).join(', ') || 'none';
    throw new KeelsonError(
      'NOT_FOUND',
      `Deployment ${this.deployment} serves no version ${name.slice(0, 60)}; it serves ${known}.`,
    );
  }

  status(): DeploymentStatus {
    return {
      deployment: this.deployment,
      environment: this.#inForce?.environment,
      state: this.#state(),
      generation: this.#inForce?.generation,
      versions: this.versions.map(({ model, pool, cache }) => ({
        versionId: model.versionId,
        version: model.version,
        replicas: pool.status(),
        wanted: pool.wanted,
        isDormant: pool.isDormant,
        failure: pool.failure,
        queued: pool.queued,
        crashes: pool.crashes,
        batches: pool.batches,
        cache: cache?.counts(),
      })),
      missing: this.#missing(),
      error: this.#error,
      shadows: this.#shadows.counts(),
    };
  }

  /** What the newest route names and is not loaded. */
  #missing(): readonly string[] {
    const loaded = new Set(this.versions.map(({ model }) => model.versionId));
    const named = this.#wanted === undefined ? [] : versionsOf(this.#wanted.route);
    return named.filter((id) => !loaded.has(id));
  }

  /**
   * Reads the route and brings it into force, unless it already is. Rejects with what the source says (NOT_FOUND for an
   * unknown deployment); a version that cannot be loaded is in {@link status} instead.
   */
  async sync(): Promise<void> {
    if (this.#unloaded) return;
    const served = await this.#options.source.route(this.deployment);
    const newest = this.#wanted?.generation ?? 0;
    if (served.generation < newest || this.#closed || this.#unloaded) return;
    this.#stopped = served.isStopped === true;
    if (this.#stopped) {
      await this.#syncing?.done;
      this.#versions.keepOnly(new Set());
      return;
    }
    const syncing = this.#syncing;
    if (syncing?.generation === served.generation && syncing.key === this.#keyOf(served))
      return syncing.done;
    const isInForce =
      this.#inForce?.generation === served.generation &&
      this.#keyOf(this.#inForce) === this.#keyOf(served);
    if (isInForce && this.#isComplete(served)) return;
    this.#wanted = served;
    const done = this.#bringIntoForce(served);
    this.#syncing = { generation: served.generation, key: this.#keyOf(served), done };
    try {
      await done;
    } finally {
      if (this.#syncing?.done === done) this.#syncing = undefined;
    }
  }

  /** Takes the deployment down in this process until {@link load}; what is under way is finished. Twice is fine. */
  async unload(): Promise<void> {
    this.#unloaded = true;
    await this.#syncing?.done;
    this.#versions.keepOnly(new Set());
    await this.#versions.drained();
  }

  /** Brings the newest route into force, also after {@link unload}. Rejects with what keeps it from answering. */
  async load(): Promise<void> {
    this.#unloaded = false;
    await this.sync();
    if (this.isReady) return;
    throw (
      this.#error ??
      new KeelsonError('UNAVAILABLE', `Deployment ${this.deployment} has no live replica.`)
    );
  }

  /** Answers one request; rejects with the errors of the router, the signature and the replicas. */
  infer(call: InferCall): Promise<InferResult> {
    return this.#inference.infer(call);
  }

  /** Tells monitoring of a request that was refused for what it was; `version` is the number of one that was chosen. */
  refused(version: string | undefined, at: number): void {
    const { deploymentId } = this;
    if (deploymentId === undefined) return;
    const chosen = this.versions.find(({ model }) => model.version === version);
    this.#options.source.sink.refused?.({
      ...{ deploymentId, at },
      ...(chosen === undefined ? {} : { versionId: chosen.model.versionId }),
    });
  }

  /** Resolves when no shadow waits or runs, at the latest after `timeoutMs`. */
  async settled(timeoutMs: number): Promise<void> {
    await this.#shadows.settled(timeoutMs);
  }

  /** Finishes requests and shadows (within `timeoutMs`), then stops all replicas. */
  async close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    this.#follower.stop();
    await this.#shadows.settled(timeoutMs);
    this.#shadows.close();
    await this.#versions.close(timeoutMs);
  }

  /** Whether a version has a replica that lives, or starts one when it is asked. */
  #answers(versionId: string): boolean {
    const pool = this.#versions.get(versionId)?.pool;
    return pool !== undefined && (pool.liveCount > 0 || pool.isDormant);
  }

  #state(): DeploymentStatus['state'] {
    if (this.#stopped) return 'STOPPED';
    if (this.#inForce === undefined) return this.#error === undefined ? 'STARTING' : 'FAILED';
    if (!this.isReady) return 'FAILED';
    const isWhole = this.#inForce.generation === this.#wanted?.generation;
    const allLive = [...this.#versions.values()].every(({ model }) =>
      this.#answers(model.versionId),
    );
    return isWhole && allLive && this.#error === undefined ? 'HEALTHY' : 'DEGRADED';
  }

  #choose(call: InferCall): ChosenVersion {
    if (this.#unloaded)
      throw new KeelsonError('UNAVAILABLE', `Deployment ${this.deployment} is unloaded here.`);
    if (this.#stopped) {
      const why = `Deployment ${this.deployment} is stopped: start it by deployments.start().`;
      throw new KeelsonError('UNAVAILABLE', why);
    }
    if (this.#inForce === undefined) {
      throw new KeelsonError('UNAVAILABLE', `Deployment ${this.deployment} is not ready.`, {
        ...(this.#error === undefined ? {} : { cause: this.#error }),
      });
    }
    const { route } = this.#inForce;
    const { deploymentId } = route;
    if (call.version !== undefined) {
      return { version: this.getVersion(call.version), shadows: [], deploymentId };
    }
    const { versionId, shadows } = this.#options.router.pick(deploymentId, call, (id) => {
      const pool = this.#versions.get(id)?.pool;
      if (pool === undefined) return false;
      // Where there is a fallback it takes over at once; where there is none, waiting for a new replica is better.
      return this.#answers(id) || (route.fallbackVersionId === undefined && pool.isAlive);
    });
    return { version: this.#versions.get(versionId) as LoadedVersion, shadows, deploymentId };
  }

  async #bringIntoForce(served: ServedRoute): Promise<void> {
    const ids = versionsOf(served.route);
    const settings = this.#settingsOf(served);
    const loads = ids.map((id) => this.#versions.load(id, settings));
    const results = await Promise.allSettled(loads);
    // A newer route came while this one was loading: it has the say now.
    if (this.#wanted !== served || this.#closed) {
      this.#retireUnnamed();
      return;
    }
    const failed = results.find((result) => result.status === 'rejected');
    this.#error = failed === undefined ? undefined : asKeelsonError(failed.reason);
    if (failed === undefined || this.#isBetterThanNothing(served.route)) {
      const isNewRoute = this.#inForce?.generation !== served.generation;
      this.#options.router.applyNow({ generation: served.generation, route: served.route });
      this.#inForce = served;
      this.#follower.follow(served.scaling, settings.replicas, served.keepReplicas);
      if (isNewRoute) this.#wakeNamed(served.route);
    }
    if (this.#error !== undefined) this.#report(served, this.#error);
    this.#retireUnnamed();
  }

  /** Who sleeps and is to answer, or be ready to, by a new route shows first that it can be started. */
  #wakeNamed({ targets, warmVersionIds = [] }: Route): void {
    const named = [...targets.map(({ versionId }) => versionId), ...warmVersionIds];
    for (const id of named) this.#versions.get(id)?.pool.wake();
  }

  /** With no route in force yet, one of which only a part can be loaded is better than none. */
  #isBetterThanNothing(route: Route): boolean {
    if (this.#inForce !== undefined && this.#inForce.generation !== this.#wanted?.generation)
      return false;
    return route.targets.some(
      ({ versionId, weightPercent }) =>
        weightPercent > 0 && this.#versions.get(versionId) !== undefined,
    );
  }

  #isComplete(served: ServedRoute): boolean {
    const settings = this.#settingsOf(served);
    return versionsOf(served.route).every((id) => this.#versions.isSettled(id, settings));
  }

  /** The deployment's own configuration over the process's. */
  #settingsOf({ serving = {}, scaling, memoryBytes }: ServedRoute): ReplicaSettings {
    const own = memoryBytes === undefined ? serving : { ...serving, memoryBytes };
    const settings = { ...this.#options.replicas, ...own };
    if (scaling === undefined) return settings;
    const atFirst = Math.max(1, scaling.min);
    return { ...settings, replicas: Math.min(serving.replicas ?? atFirst, scaling.max) };
  }

  /** What of a served route is to be brought into force beside the route itself. */
  #keyOf(served: ServedRoute): string {
    const settings = this.#settingsOf(served);
    const { scaling, keepReplicas } = served;
    return JSON.stringify([settingsKey(settings), settings.replicas, scaling, keepReplicas]);
  }

  #report(served: ServedRoute, error: KeelsonError): void {
    this.#options.logger?.error(
      {
        deployment: this.deployment,
        generation: served.generation,
        code: error.code,
        error: error.message,
      },
      this.#inForce === served
        ? 'A route came into force without a version that cannot be loaded.'
        : 'A route cannot come into force; the one before it stays.',
    );
  }

  /** Stops what neither the route in force nor the one being loaded names. */
  #retireUnnamed(): void {
    const named = new Set(
      [this.#inForce, this.#wanted].flatMap((served) => (served ? versionsOf(served.route) : [])),
    );
    this.#versions.keepOnly(named);
  }
}

function versionsOf(route: Route): string[] {
  const ids = [
    ...route.targets.map(({ versionId }) => versionId),
    ...route.rules.map(({ versionId }) => versionId),
    ...route.shadows.map(({ versionId }) => versionId),
    ...(route.fallbackVersionId === undefined ? [] : [route.fallbackVersionId]),
    ...(route.warmVersionIds ?? []),
  ];
  return [...new Set(ids)];
}
