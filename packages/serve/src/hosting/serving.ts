import { randomUUID } from 'node:crypto';
import type { RequestListener } from 'node:http';
import {
  isKeelsonError,
  KeelsonError,
  type TargetOutcome,
  type TrafficRouter,
} from '@keelson/core';
import type { HttpAnswer, HttpRequest } from '../http/exchange.ts';
import { InferenceApi } from '../http/inference-api.ts';
import { nodeListener } from '../http/node-face.ts';
import { type WebHandler, webHandler } from '../http/web-face.ts';
import { type Servable, sourceOf } from '../platform-source.ts';
import { InProcessRouter } from '../routing/in-process-router.ts';
import type { ServingSource } from '../serving-source.ts';
import { DeploymentHost } from './deployment-host.ts';
import type { DeploymentStatus } from './deployment-status.ts';
import { healthOf } from './health-report.ts';
import type { ReplicaSettings } from './loaded-version.ts';
import {
  type ResolvedServingOptions,
  resolveOptions,
  type ServingOptions,
} from './serving-options.ts';

/** Deployments being served in this process, without a port of their own: to be mounted, or called. */
export interface Serving extends AsyncDisposable {
  /** Answers a request; never rejects. */
  handle(request: HttpRequest): Promise<HttpAnswer>;
  /** The same for frameworks that speak `Request` and `Response`; `prefix` stands before the paths, such as `/api`. */
  fetch(request: Request, options?: { readonly prefix?: string }): Promise<Response>;
  /** The same for `node:http`, Express and the like. */
  readonly listener: RequestListener;
  /** What is in force, and what came of it. */
  readonly router: Pick<TrafficRouter, 'observed' | 'outcomes'>;
  status(): readonly DeploymentStatus[];
  /** What was counted of predictions, as Prometheus's text; `GET /metrics` answers the same. */
  metrics(): string;
  /** The outcomes of a deployment's versions, by the deployment's name. */
  outcomes(deployment: string, windowMs: number): Promise<readonly TargetOutcome[]>;
  /** Reads the routes again now; resolves when the newest are in force or have failed to come into force. */
  refresh(): Promise<void>;
  /**
   * Resolves when all that was answered is also shadowed and logged, durably. Rejects with TIMEOUT when shadows take
   * longer than `timeoutMs` (30,000), and with what the sink says.
   */
  settled(options?: { readonly timeoutMs?: number }): Promise<void>;
  /**
   * Not ready from now on; finishes what is under way within `timeoutMs` (30,000), stops replicas, flushes the prediction
   * log. Twice is fine.
   */
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
}

/**
 * Serves deployments by their routes. Resolves when each deployment either answers or has failed; a deployment
 * whose model is bad leaves the others alone and shows it in `status()`. Rejects with INVALID for bad options, NOT_FOUND for
 * an unknown deployment, and with the deployment's own error when none of them can be served.
 */
export function openServing(given: Servable, options: ServingOptions): Promise<Serving> {
  return startServing(sourceOf(given), options);
}

/** {@link Serving} for a server that owns the port and takes part in the order of closing. */
export interface DrainableServing extends Serving {
  /** Says "not ready" from now on, while requests are still answered. */
  drain(): void;
}

/** As {@link openServing}. */
export async function startServing(
  source: ServingSource,
  options: ServingOptions,
): Promise<DrainableServing> {
  const serving = new OpenServing(source, resolveOptions(options));
  try {
    await serving.start();
  } catch (error) {
    await serving.close({ timeoutMs: 0 });
    throw error;
  }
  return serving;
}

/** What has not changed is told again after so long: who is silent for two minutes is forgotten. */
const sayAgainMs = 30_000;

class OpenServing implements DrainableServing {
  readonly router: InProcessRouter = new InProcessRouter();
  readonly listener: RequestListener;
  readonly fetch: WebHandler;
  readonly #source: ServingSource;
  readonly #options: ResolvedServingOptions;
  readonly #hosts: ReadonlyMap<string, DeploymentHost>;
  readonly #api: InferenceApi;
  /** By what name this process tells how it is. */
  readonly #name = randomUUID();
  readonly #said = new Map<string, { readonly text: string; readonly at: number }>();
  #watch: AsyncDisposable | undefined;
  #timer: NodeJS.Timeout | undefined;
  #draining = false;
  #closing: Promise<void> | undefined;

  constructor(source: ServingSource, options: ResolvedServingOptions) {
    this.#source = source;
    this.#options = options;
    const clock = options.clock ?? { now: () => Date.now() };
    this.#hosts = new Map(
      options.deployments.map((deployment) => [
        deployment,
        new DeploymentHost({
          deployment,
          source,
          router: this.router,
          replicas: settingsOf(options),
          drainMs: options.drainMs,
          maxShadows: options.maxShadows,
          clock,
          logger: options.logger,
          signals: options.signals,
          caller: options.caller,
        }),
      ]),
    );
    const { maxBodyBytes, maxRows, timeoutMs, rateLimit, maxConcurrent, logger } = options;
    const { modelControl, compressFromBytes } = options;
    const isDraining = (): boolean => this.#draining;
    const ids = options.ids ?? { next: () => randomUUID() };
    this.#api = new InferenceApi({
      hosts: this.#hosts,
      isDraining,
      maxBodyBytes,
      maxRows,
      timeoutMs,
      rateLimit,
      maxConcurrent,
      modelControl,
      compressFromBytes,
      clock,
      ids,
      logger,
    });
    this.listener = nodeListener(this.#api, { maxBodyBytes, isDraining });
    this.fetch = webHandler(this.#api, { maxBodyBytes });
  }

  async start(): Promise<void> {
    this.#watch = this.#source.watch(this.#options.deployments, () => this.#wake());
    await this.refresh();
    const statuses = this.status();
    const failed = statuses.find(({ error }) => error !== undefined);
    if (failed?.error !== undefined && statuses.every(({ state }) => state === 'FAILED'))
      throw failed.error;
    this.#timer = setInterval(() => this.#wake(), this.#options.pollMs).unref();
  }

  handle(request: HttpRequest): Promise<HttpAnswer> {
    return this.#api.handle(request);
  }

  metrics(): string {
    return this.#api.metrics();
  }

  status(): readonly DeploymentStatus[] {
    return [...this.#hosts.values()].map((host) => host.status());
  }

  async outcomes(deployment: string, windowMs: number): Promise<readonly TargetOutcome[]> {
    const host = this.#hosts.get(deployment);
    if (host === undefined)
      throw new KeelsonError('NOT_FOUND', `Deployment ${deployment} is not served here.`);
    const id = host.deploymentId;
    return id === undefined ? [] : this.router.outcomes(id, windowMs);
  }

  async refresh(): Promise<void> {
    await Promise.all(
      [...this.#hosts.values()].map(async (host) => {
        await host.sync();
        await this.#report(host);
      }),
    );
  }

  async settled(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    const timeoutMs = options.timeoutMs ?? 30_000;
    await Promise.all([...this.#hosts.values()].map((host) => host.settled(timeoutMs)));
    const open = this.status().find(({ shadows }) => shadows.waiting + shadows.running > 0);
    if (open !== undefined) {
      throw new KeelsonError(
        'TIMEOUT',
        `Shadow requests of ${open.deployment} were not done within ${timeoutMs} ms.`,
      );
    }
    await this.#source.sink.flush({ timeoutMs });
  }

  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMs ?? 30_000);
    return this.#closing;
  }

  drain(): void {
    this.#draining = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    this.drain();
    clearInterval(this.#timer);
    await this.#watch?.[Symbol.asyncDispose]();
    await Promise.all([...this.#hosts.values()].map((host) => host.close(timeoutMs)));
    await this.#source.sink.flush({ timeoutMs: Math.max(1000, timeoutMs) });
  }

  /** Says how a deployment is here, where that has changed or was said a while ago; in vain is no reason to fail. */
  async #report(host: DeploymentHost): Promise<void> {
    const health = healthOf(host.status(), this.#name);
    if (health === undefined || this.#source.report === undefined || this.#draining) return;
    const text = JSON.stringify(health);
    const said = this.#said.get(host.deployment);
    if (said?.text === text && performance.now() - said.at < sayAgainMs) return;
    this.#said.set(host.deployment, { text, at: performance.now() });
    try {
      await this.#source.report(host.deployment, health);
    } catch (error) {
      this.#said.delete(host.deployment);
      const fields = { deployment: host.deployment, error };
      this.#options.logger?.warn(fields, 'How a deployment is here could not be told.');
    }
  }

  #wake(): void {
    if (this.#draining) return;
    for (const host of this.#hosts.values()) {
      const looked = host.sync().then(() => this.#report(host));
      looked.catch((error: unknown) => {
        this.#options.logger?.warn(
          { deployment: host.deployment, error: isKeelsonError(error) ? error.message : error },
          'The route of a deployment could not be read; the one in force stays.',
        );
      });
    }
  }
}

function settingsOf(options: ResolvedServingOptions): ReplicaSettings {
  const { replicas, isolation, batching, maxQueue, loadTimeoutMs, hungAfterMs } = options;
  const settings = { replicas, isolation, maxQueue, loadTimeoutMs, hungAfterMs };
  return batching === undefined ? settings : { ...settings, batching };
}
