import { KeelsonError, type Services } from '@keelson/core';
import {
  jsonAnswer,
  type RequestHeaders,
  type ServerAnswer,
  type ServerRequest,
  splitUrl,
} from '../http/exchange.ts';
import { readBody } from '../http/request-body.ts';

/** What answers inference in this process: `openServing` of `@keelson/serve` fits as it is. */
export interface MountedServing {
  /** Answers a request below `/v1` and `/v2`; never rejects. */
  handle(request: {
    readonly method: string;
    /** Path and query. */
    readonly url: string;
    readonly headers: RequestHeaders;
    readonly bytes: Uint8Array;
    readonly isGone?: () => boolean;
    readonly client?: string;
  }): Promise<{
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string | Uint8Array;
  }>;
  /** What was counted of predictions, as Prometheus's text. */
  metrics?(): string;
}

/** Whether a path is one of inference: the Open Inference Protocol v2, or TensorFlow Serving's. */
export function isInference(path: string): boolean {
  return path === '/v2' || path.startsWith('/v2/') || path.startsWith('/v1/models');
}

/**
 * Hands a request on, once its caller may ask it: predictions take `deployment.predict`, descriptions
 * `deployment.read`, loading and unloading `deployment.deploy`. Whether the process lives and is ready is told to
 * everybody. Rejects with FORBIDDEN otherwise, and with what reading the body rejects with.
 */
export async function answerInference(
  serving: MountedServing,
  request: ServerRequest,
  servicesFor: (request: ServerRequest) => Promise<Services>,
): Promise<ServerAnswer> {
  const { method, url, headers, signal, client } = request;
  const { path } = splitUrl(url);
  if (!/^\/v2\/health\/(live|ready)$/.test(path))
    await admit(await servicesFor(request), method, path);
  return serving.handle({
    ...{ method, url, headers },
    bytes: await readBody(request),
    isGone: () => signal.aborted,
    ...(client === undefined ? {} : { client }),
  });
}

async function admit(services: Services, method: string, path: string): Promise<void> {
  const { deployments } = services;
  const name = modelOf(path);
  const isRead = method === 'GET' || method === 'HEAD';
  if (path.startsWith('/v2/repository/models/')) await assertMayLoad(services, name ?? '');
  else if (name === undefined) await deployments.list({ limit: 1 });
  else if (isRead) await deployments.find(name);
  else await deployments.admit(name);
}

async function assertMayLoad(
  { operations, principal }: Services,
  deployment: string,
): Promise<void> {
  const action = 'deployment.deploy';
  const resource = `deployment:${deployment}`;
  const verdict = await operations.access.explain({ principal, action, resource });
  if (verdict.allowed) return;
  throw new KeelsonError(
    'FORBIDDEN',
    `${principal.id} may not ${action} ${resource}: ${verdict.reason}.`,
    { details: { principal: principal.id, action, resource } },
  );
}

/** The deployment that a path is about; undefined where it is about none. */
function modelOf(path: string): string | undefined {
  const [, segment] =
    /^\/v[12]\/(?:repository\/)?models\/([^/]+)/.exec(path.replace(/:predict$/, '')) ?? [];
  if (segment === undefined || (path.startsWith('/v2/') && segment === 'stats')) return undefined;
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new KeelsonError('INVALID', 'The path has a malformed escape.', { cause });
  }
}

/** A refusal in the form that clients of inference expect. */
export function inferenceRefusal(status: number, message: string): ServerAnswer {
  const challenge = status === 401 ? { 'www-authenticate': 'Bearer realm="keelson"' } : {};
  return jsonAnswer(status, { error: message }, challenge);
}
