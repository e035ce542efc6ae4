import type { RequestListener } from 'node:http';
import { isKeelsonError, type Logger, type Platform } from '@keelson/core';
import { type Auth, createCallers } from './access/callers.ts';
import { createWebhooks, type Webhook } from './access/webhooks.ts';
import { createApi } from './api/api.ts';
import { statusOf } from './api/problem.ts';
import { createDashboard } from './dashboard/dashboard.ts';
import type { ServerAnswer, ServerHandle, ServerRequest } from './http/exchange.ts';
import { headerOf, jsonAnswer, splitUrl, textAnswer } from './http/exchange.ts';
import { nodeListener } from './http/node-face.ts';
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
  /** What stands before the paths, such as `/mlops`; nothing when left out. */
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
  /** For `node:http`, Express and Fastify. */
  readonly listener: RequestListener;
  /** The core of both: what is asked lies below the base path. */
  readonly handle: ServerHandle;
}

/**
 * A platform behind HTTP. What is there: the control plane (`/api/v1/…`, described at `/api/v1/docs`), MLflow's REST
 * protocol (`/api/2.0/mlflow/…`, `/ajax-api/2.0/mlflow/…`, `/api/2.0/mlflow-artifacts/…`), `/health`, `/health/live`,
 * `/health/ready`, `/metrics` and `/version`, the dashboard (`/ui/`, to which `/` leads); with `serving` inference too
 * (`/v1/models/…`, `/v2/…`).
 */
export function createHandler(platform: Platform, options: HandlerOptions = {}): Handler {
  const { basePath = '', auth, workspace, logger, closing, serving, webhooks } = options;
  const callers = createCallers(platform, {
    ...(auth === undefined ? {} : { auth }),
    ...(workspace === undefined ? {} : { workspace }),
  });
  const api = createApi({
    servicesFor: (request) => callers.servicesFor(request),
    isReady: async () => closing?.aborted !== true && (await isOfUse(platform)),
    webhooks: createWebhooks(platform, { webhooks, workspace }),
    serving,
    closing,
    logger,
  });
  const mlflow = createMlflow((request, asked) => callers.servicesFor(request, asked), logger);

  const dashboard = createDashboard(callers, { basePath });

  async function handle(request: ServerRequest): Promise<ServerAnswer> {
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

  return {
    handle,
    fetch: webHandler(handle, basePath),
    listener: nodeListener(handle, { basePath, isDraining: () => closing?.aborted === true }),
  };
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
