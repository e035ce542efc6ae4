import { isKeelsonError, KeelsonError, type Logger, type Platform } from '@keelson/core';
import { type Auth, createCallers } from './access/callers.ts';
import { createRateLimits, type RateLimitOptions } from './access/rate-limit.ts';
import { createWebhooks, type Webhook } from './access/webhooks.ts';
import { createApi } from './api/api.ts';
import { statusOf } from './api/problem.ts';
import { createDashboard } from './dashboard/dashboard.ts';
import type { ServerAnswer, ServerHandle, ServerRequest } from './http/exchange.ts';
import { headerOf, jsonAnswer, splitUrl, textAnswer } from './http/exchange.ts';
import { type FastifyMount, fastifyMount } from './http/fastify-mount.ts';
import { Flights } from './http/flights.ts';
import { type BehindProxy, believeProxies } from './http/forwarded.ts';
import { type NodeListener, nodeListener } from './http/node-face.ts';
import { type WebHandler, webHandler } from './http/web-face.ts';
import { createMlflow } from './mlflow/mlflow.ts';
import {
  answerInference,
  inferenceRefusal,
  isInference,
  type MountedServing,
} from './serving/mounted-serving.ts';

/** How a platform is put behind HTTP. */
export interface HandlerOptions {
  /**
   * What stands before the paths, such as `/mlops`; nothing when left out. Mounts of Express and Hono that take their
   * prefix away, and Fastify's, need it not.
   */
  readonly basePath?: string;
  /** Who is behind a request, where the host knows its users; null is refused with 401. */
  readonly auth?: Auth;
  /** The workspace that is served; the platform's own when left out. */
  readonly workspace?: string;
  /**
   * Aborted when this process is about to end: from then on `/health/ready` says no, connections end with their answer,
   * and streams of events end.
   */
  readonly closing?: AbortSignal;
  /**
   * Who calls, and under which name, is what the proxies before this process say (`X-Forwarded-*`). When left out, no
   * such header is believed.
   */
  readonly behindProxy?: BehindProxy;
  /**
   * How much one principal may ask, or one address where nobody is known, of this process; what is more is answered with
   * 429 and `Retry-After`. Health and metrics are not counted. No limit when left out.
   */
  readonly rateLimit?: RateLimitOptions;
  /**
   * What answers inference in this process, such as `openServing(platform, …)` of `@keelson/serve`: below `/v1/models` and
   * `/v2`, for callers that may `deployment.predict`. Who opened it closes it.
   */
  readonly serving?: MountedServing;
  /** Triggers of pipelines that others may call with a signature, by name: `POST /api/v1/webhooks/{trigger}`. */
  readonly webhooks?: Readonly<Record<string, Webhook>>;
  /** Told of what fails that should not. */
  readonly logger?: Logger;
}

/** A platform behind HTTP, to be mounted. */
export interface Handler {
  /** For frameworks that speak `Request` and `Response`. */
  readonly fetch: WebHandler;
  /** For `node:http` and Express. */
  readonly listener: NodeListener;
  /** For Fastify, as a plugin: `app.register(handler.fastify, { prefix: '/mlops' })`. */
  readonly fastify: FastifyMount;
  /** The core of all: what is asked lies below the base path. */
  readonly handle: ServerHandle;
  /**
   * For the end of a host: says from now on that it is not ready, ends streams of events, and resolves when all else
   * that is under way is answered; what is left after `timeoutMs` (30,000 when left out) is broken off. Close the
   * platform afterwards. Twice is fine.
   */
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
}

/**
 * A platform behind HTTP. What is there: the control plane (`/api/v1/…`, described at `/api/v1/docs`), MLflow's REST
 * protocol (`/api/2.0/mlflow/…`, `/ajax-api/2.0/mlflow/…`, `/api/2.0/mlflow-artifacts/…`), `/health`, `/health/live`,
 * `/health/ready`, `/metrics` and `/version`, the dashboard (`/ui/`, to which `/` leads); with `serving` inference too
 * (`/v1/models/…`, `/v2/…`).
 */
export function createHandler(platform: Platform, options: HandlerOptions = {}): Handler {
  const {
    basePath = '',
    auth,
    workspace,
    logger,
    serving,
    webhooks,
    behindProxy,
    rateLimit,
  } = options;
  assertBasePath(basePath);
  const ending = new AbortController();
  const closing =
    options.closing === undefined
      ? ending.signal
      : AbortSignal.any([options.closing, ending.signal]);
  const limits = rateLimit === undefined ? undefined : createRateLimits(rateLimit);
  const callers = createCallers(platform, {
    limits,
    ...(auth === undefined ? {} : { auth }),
    ...(workspace === undefined ? {} : { workspace }),
  });
  const api = createApi({
    servicesFor: (request) => callers.servicesFor(request),
    isReady: async () => !closing.aborted && (await isOfUse(platform)),
    webhooks: createWebhooks(platform, { webhooks, workspace }),
    serving,
    closing,
    logger,
  });
  const mlflow = createMlflow((request, asked) => callers.servicesFor(request, asked), logger);

  const dashboard = createDashboard(callers, { basePath });

  async function answer(request: ServerRequest): Promise<ServerAnswer> {
    const { path } = splitUrl(request.url);
    if (path === '/health' && isRead(request)) return textAnswer(200, 'OK');
    if (serving !== undefined && isInference(path)) return predict(serving, request);
    const answered = (await mlflow(request)) ?? (await api(request)) ?? (await dashboard(request));
    return withoutPrompt(request, answered ?? jsonAnswer(404, notFound(request.method, path)));
  }

  async function predict(by: MountedServing, request: ServerRequest): Promise<ServerAnswer> {
    try {
      return await answerInference(by, request, (asked) => callers.servicesFor(asked));
    } catch (error) {
      const status = statusOf(error);
      if (!isKeelsonError(error) || status === 500) {
        logger?.error({ component: 'server', error }, `${request.method} ${request.url} failed.`);
      }
      return inferenceRefusal(status, messageOf(error));
    }
  }

  async function told(request: ServerRequest): Promise<ServerAnswer> {
    const answered = await answer(request);
    return { ...answered, headers: { ...answered.headers, ...limits?.headersOf(request) } };
  }

  const inner = limits === undefined ? answer : told;
  const handle = behindProxy === undefined ? inner : believeProxies(inner, behindProxy);
  const flights = new Flights();
  const listenerAt = (prefix: string): NodeListener =>
    nodeListener(handle, { basePath: prefix, isDraining: () => closing.aborted, flights });
  async function close({ timeoutMs = 30_000 }: { readonly timeoutMs?: number } = {}) {
    ending.abort();
    await flights.landed(timeoutMs);
  }
  return {
    handle,
    fetch: webHandler(handle, { basePath, flights }),
    listener: listenerAt(basePath),
    fastify: fastifyMount(listenerAt, close),
    close,
  };
}

function assertBasePath(basePath: string): void {
  if (basePath === '' || /^(\/[\w.~-]+)+$/.test(basePath)) return;
  throw new KeelsonError(
    'INVALID',
    `basePath must be like "/mlops" (it begins with a slash and ends without one), not ${JSON.stringify(basePath.slice(0, 100))}.`,
  );
}

/** Whether no critical check of the platform says otherwise. */
async function isOfUse({ operations }: Platform): Promise<boolean> {
  try {
    return (await operations.health()).status !== 'UNHEALTHY';
  } catch (error) {
    // Its own principal need not be allowed to see health.
    return isKeelsonError(error, 'FORBIDDEN');
  }
}

/** A script that is told of basic authentication has its browser ask for a password, which the script could not use. */
function withoutPrompt(request: ServerRequest, answer: ServerAnswer): ServerAnswer {
  if (answer.status !== 401 || headerOf(request.headers, 'sec-fetch-dest') !== 'empty')
    return answer;
  return {
    ...answer,
    headers: { ...answer.headers, 'www-authenticate': 'Bearer realm="keelson"' },
  };
}

function isRead({ method }: ServerRequest): boolean {
  return method === 'GET' || method === 'HEAD';
}

function messageOf(error: unknown): string {
  return isKeelsonError(error) ? error.message : 'Something failed that should not.';
}

/** As MLflow's clients expect it of paths that are not there: they go on by another way. */
function notFound(method: string, path: string): object {
  return { error_code: 'ENDPOINT_NOT_FOUND', message: `There is no ${method} ${path} here.` };
}
