import {
  addSpan,
  type Clock,
  describeSpan,
  inSpan,
  isKeelsonError,
  type Json,
  KeelsonError,
  type Logger,
  type PredictionRow,
  type Route,
  type ScalingConfig,
  type Tensor,
} from '@keelson/core';
import type { BatchCounts } from '../batching/batch-counter.ts';
import type { ResultCacheCounts } from '../caching/result-cache.ts';
import { type Finding, namesOfRow } from '../checks/finding.ts';
import { FindingCounts } from '../checks/finding-counts.ts';
import { type InferRequest, modelParameters } from '../protocol/infer-request.ts';
import { refusal, statusOf } from '../protocol/refusal.ts';
import type { CheckedInputs } from '../protocol/signature-check.ts';
import type { JobAnswer } from '../replicas/job.ts';
import type { PredictOptions } from '../replicas/job-dispatcher.ts';
import type { ReplicaPool, ReplicaStatus } from '../replicas/replica-pool.ts';
import type { InProcessRouter, RoutedRequest } from '../routing/in-process-router.ts';
import type { ServedRoute, ServingSource } from '../serving-source.ts';
import { InferenceCounts } from './inference-counts.ts';
import { type LoadedVersion, type ReplicaSettings, settingsKey } from './loaded-version.ts';
import { type ShadowCounts, ShadowLane } from './shadow-lane.ts';
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
}

/** One inference request as the host gets it. */
export interface InferCall extends RoutedRequest {
  readonly request: InferRequest;
  /** Version number or id that the caller insists on. */
  readonly version: string | undefined;
  readonly timeoutMs: number;
  /** `performance.now()` when the request came in. */
  readonly startedAt: number;
  /** The request's time for monitoring. */
  readonly at: number;
  readonly correlationId: string | undefined;
  readonly isGone: () => boolean;
  /** Told the number of the version that is asked. */
  readonly chosen?: (version: string) => void;
}

/** What the caller gets. */
export interface InferResult {
  readonly version: LoadedVersion;
  readonly outputs: readonly Tensor[];
  readonly answer: JobAnswer;
  /** What answer checks have to say; undefined where they have nothing. */
  readonly findings: readonly Finding[] | undefined;
}

/** How a deployment is doing in this process. */
export interface DeploymentStatus {
  readonly deployment: string;
  readonly environment: string | undefined;
  /** `DEGRADED`: it answers, but not as its newest route wants. `FAILED`: it does not answer. `STOPPED`: nor is it meant to. */
  readonly state: 'STARTING' | 'HEALTHY' | 'DEGRADED' | 'FAILED' | 'STOPPED';
  /** Of the route in force. */
  readonly generation: number | undefined;
  readonly versions: readonly {
    readonly versionId: string;
    readonly version: string;
    readonly replicas: readonly ReplicaStatus[];
    /** How many there are meant to be. */
    readonly wanted: number;
    readonly queued: number;
    readonly crashes: number;
    /** What came of sharing calls; undefined where each request is a call of its own. */
    readonly batches: BatchCounts | undefined;
    /** Undefined without a cache. */
    readonly cache: ResultCacheCounts | undefined;
  }[];
  /** Versions that the newest route names and that are not loaded here. */
  readonly missing: readonly string[];
  /** Why the newest route is not, or not wholly, in force. */
  readonly error: KeelsonError | undefined;
  readonly shadows: ShadowCounts;
}

const scaleEveryMs = 250;

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
  #scaleTimer: NodeJS.Timeout | undefined;
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
  async infer(call: InferCall): Promise<InferResult> {
    const full = this.#options.source.sink.full?.();
    if (full !== undefined) throw refusal(429, 'EXHAUSTED', full.message);
    const { version, shadows, deploymentId } = this.#choose(call);
    call.chosen?.(version.model.version);
    version.check.checkOutputs(call.request.outputs);
    const checked = version.check.check(call.request.inputs);
    const { versionId } = version.model;
    const latency = (): number => performance.now() - call.startedAt;
    let findings: readonly Finding[] | undefined;
    let fallback: string | undefined;
    let answer: JobAnswer;
    try {
      const attributes = { 'keelson.model.version': version.model.version };
      answer = await inSpan('predict', { attributes }, async () => {
        const given = await predict(version, checked, {
          timeoutMs: call.timeoutMs - latency(),
          parameters: modelParameters(call.request),
          isGone: call.isGone,
        });
        tellTimes(given, checked.rowCount);
        return given;
      });
      findings = this.#look(version, checked, answer);
      fallback = findings && this.#fallbackFor(version, findings);
      if (findings !== undefined && fallback === undefined) version.answers.enforce(findings);
    } catch (error) {
      const failed = statusOf(error) >= 500;
      // What checks have withheld the version has answered, if not as it should.
      if (failed || findings !== undefined) {
        const latencyMs = latency();
        this.#options.router.record(deploymentId, versionId, latencyMs, failed);
        if (failed) this.counts.failed(version.model.version, latencyMs);
        if (isKeelsonError(error, 'FAILED', 'TIMEOUT', 'INTERNAL')) {
          const facts = { deploymentId, role: 'primary', latencyMs, error, findings } as const;
          this.#log(version, call, checked, facts);
        }
      }
      throw error;
    }
    const latencyMs = latency();
    this.#options.router.record(deploymentId, versionId, latencyMs, false);
    const now = this.#options.clock.now();
    this.counts.answered(version.model.version, now, checked.rowCount, latencyMs, answer);
    version.meter.record(latencyMs, answer.queueMs);
    // An answer that the caller never sees is like a shadow's.
    const role = fallback === undefined ? 'primary' : 'shadow';
    this.#log(version, call, checked, { deploymentId, role, latencyMs, answer, findings });
    for (const shadow of shadows) this.#shadow(deploymentId, shadow, call);
    if (fallback !== undefined) return this.infer({ ...call, version: fallback });
    return { version, outputs: answer.outputs, answer, findings };
  }

  /** Resolves when no shadow waits or runs, at the latest after `timeoutMs`. */
  async settled(timeoutMs: number): Promise<void> {
    await this.#shadows.settled(timeoutMs);
  }

  /** Finishes requests and shadows (within `timeoutMs`), then stops all replicas. */
  async close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    clearInterval(this.#scaleTimer);
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

  #choose(call: InferCall): {
    version: LoadedVersion;
    shadows: readonly string[];
    deploymentId: string;
  } {
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

  /** What answer checks have to say, which is counted. */
  #look(
    version: LoadedVersion,
    { inputs, rowCount }: CheckedInputs,
    { outputs }: JobAnswer,
  ): readonly Finding[] | undefined {
    const findings = version.answers.look(inputs, outputs, rowCount);
    if (findings !== undefined) this.findings.note(version.model.version, findings, rowCount);
    return findings;
  }

  /** The version that is to answer instead of one that is not confident enough. */
  #fallbackFor(
    { model, answers }: LoadedVersion,
    findings: readonly Finding[],
  ): string | undefined {
    const id = this.#inForce?.route.fallbackVersionId;
    if (id === undefined || id === model.versionId || !answers.wantsFallback(findings))
      return undefined;
    return (this.#versions.get(id)?.pool.liveCount ?? 0) > 0 ? id : undefined;
  }

  #shadow(deploymentId: string, versionId: string, call: InferCall): void {
    this.#shadows.offer(async () => {
      const version = this.#versions.get(versionId);
      if (version === undefined)
        throw new KeelsonError('UNAVAILABLE', 'The shadow version is not loaded.');
      const checked = version.check.check(call.request.inputs);
      const startedAt = performance.now();
      const facts = (): { deploymentId: string; role: 'shadow'; latencyMs: number } => ({
        deploymentId,
        role: 'shadow',
        latencyMs: performance.now() - startedAt,
      });
      try {
        const answer = await version.pool.predict(checked.inputs, checked.rowCount, {
          timeoutMs: call.timeoutMs,
          parameters: modelParameters(call.request),
        });
        const findings = this.#look(version, checked, answer);
        this.#log(version, call, checked, { ...facts(), answer, findings });
      } catch (error) {
        // What befell the copy on its way (overload, removal) says nothing about the version.
        if (isKeelsonError(error, 'FAILED', 'TIMEOUT')) {
          this.#log(version, call, checked, { ...facts(), error });
        }
        throw error;
      }
    });
  }

  #log(
    version: LoadedVersion,
    call: InferCall,
    checked: CheckedInputs,
    result: Pick<PredictionRow, 'deploymentId' | 'role' | 'latencyMs'> & {
      readonly answer?: JobAnswer;
      readonly error?: unknown;
      readonly findings?: readonly Finding[] | undefined;
    },
  ): void {
    const { answer, error, findings, ...facts } = result;
    const sticky = this.#inForce?.route.sticky;
    const key = sticky === undefined ? undefined : call.header(sticky.header.toLowerCase());
    const rows = version.rows.rows(
      {
        ...facts,
        versionId: version.model.versionId,
        requestId: call.requestId,
        at: call.at,
        ...(key === undefined ? {} : { key }),
        ...(answer === undefined
          ? { error: error instanceof Error ? error.message : String(error) }
          : { queueMs: answer.queueMs, inferenceMs: answer.inferenceMs, replica: answer.replica }),
        ...(call.correlationId === undefined ? {} : { correlationId: call.correlationId }),
      },
      checked.inputs,
      checked.rowCount,
      answer?.outputs,
    );
    const { sink } = this.#options.source;
    if (findings === undefined) for (const row of rows) sink.record(row);
    else for (const [i, row] of rows.entries()) sink.record(flagged(row, namesOfRow(findings, i)));
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
      this.#options.router.applyNow({ generation: served.generation, route: served.route });
      this.#inForce = served;
      this.#scale(served, settings);
    }
    if (this.#error !== undefined) this.#report(served, this.#error);
    this.#retireUnnamed();
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
    return JSON.stringify([settingsKey(settings), settings.replicas, served.scaling]);
  }

  /** As many replicas as are declared, or as the load asks for from now on. */
  #scale({ scaling }: ServedRoute, { replicas }: ReplicaSettings): void {
    clearInterval(this.#scaleTimer);
    if (scaling === undefined) {
      for (const { pool } of this.#versions.values()) {
        if (pool.wanted !== replicas && pool.isScalable) this.#resize(pool, replicas);
      }
      return;
    }
    this.#scaleTimer = setInterval(() => this.#followLoad(scaling), scaleEveryMs).unref();
  }

  #resize(pool: ReplicaPool, replicas: number): void {
    pool.resize(replicas).catch((error: unknown) => {
      const { deployment } = this;
      this.#options.logger?.error({ deployment, error }, 'A replica could not be started.');
    });
  }

  #followLoad(scaling: ScalingConfig): void {
    for (const { model, pool, scaler } of this.#versions.values()) {
      const change = pool.isScalable ? scaler.tick(scaling) : undefined;
      if (change === undefined) continue;
      const { oldReplicas, replicas: newReplicas, reason } = change;
      const { source, logger } = this.#options;
      const { deployment } = this;
      const facts = { deployment, version: model.version, oldReplicas, newReplicas, reason };
      logger?.info(facts, 'Replicas follow the load.');
      const why = `${model.version}: ${reason}`;
      source.scaled?.(deployment, { oldReplicas, newReplicas, reason: why }).catch((error) => {
        logger?.warn({ deployment, error }, 'That replicas follow the load could not be told.');
      });
    }
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

function predict(
  { pool, cache }: LoadedVersion,
  { inputs, rowCount }: CheckedInputs,
  options: PredictOptions & { readonly parameters: Readonly<Record<string, Json>> },
): Promise<JobAnswer> {
  const run = (): Promise<JobAnswer> => pool.predict(inputs, rowCount, options);
  return cache === undefined ? run() : cache.predict({ inputs, ...options }, run);
}

/** Queue, batch and model in the span of a prediction. */
function tellTimes(
  { replica, attempts, batchRows, queueMs, inferenceMs }: JobAnswer,
  rows: number,
): void {
  const batch = { 'keelson.batch_rows': batchRows };
  describeSpan({
    ...{ 'keelson.replica': replica, 'keelson.attempts': attempts, 'keelson.rows': rows, ...batch },
    ...{ 'keelson.queue_ms': queueMs, 'keelson.inference_ms': inferenceMs },
  });
  const to = performance.timeOrigin + performance.now();
  const begun = to - inferenceMs;
  addSpan('queue', { from: begun - queueMs, to: begun });
  addSpan('model', { from: begun, to }, batch);
}

function flagged(row: PredictionRow, flags: readonly string[]): PredictionRow {
  return flags.length === 0 ? row : { ...row, flags };
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
