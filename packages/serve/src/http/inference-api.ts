import {
  type Clock,
  type Ids,
  inSpan,
  isKeelsonError,
  KeelsonError,
  type Logger,
  type ModelSignature,
  metricsContentType,
  withCorrelation,
} from '@keelson/core';
import { namesOf } from '../checks/finding.ts';
import type { DeploymentHost } from '../hosting/deployment-host.ts';
import type { InferCall } from '../hosting/infer-call.ts';
import { openApiDocument } from '../openapi/openapi-document.ts';
import { describeValue } from '../protocol/elements.ts';
import type { InferRequest } from '../protocol/infer-request.ts';
import { encodePredictAnswer } from '../protocol/predict-v1.ts';
import { malformed, refusal, statusOf } from '../protocol/refusal.ts';
import { encodeAnswer } from './answer-encoding.ts';
import { answer, answerInfer, answerJson, type Context, json, requestIdOf } from './answers.ts';
import { callerDeadline } from './caller-deadline.ts';
import { type HttpAnswer, type HttpRequest, headerOf } from './exchange.ts';
import { assertRows, readInference } from './inference-body.ts';
import { describeTensor, v1Status } from './model-descriptions.ts';
import {
  controlModel,
  modelConfiguration,
  modelStatistics,
  repositoryIndex,
} from './model-repository.ts';
import { type Endpoint, findEndpoint, methodsOf } from './paths.ts';
import { RateLimit, type RateLimitOptions } from './rate-limit.ts';
import { assertContentType, unpackBody } from './request-body.ts';
import { ServingMetrics } from './serving-metrics.ts';
import { traceContext } from './trace-context.ts';

/** What the inference API answers for, and its limits. */
export interface InferenceApiOptions {
  /** By name. */
  readonly hosts: ReadonlyMap<string, DeploymentHost>;
  readonly isDraining: () => boolean;
  readonly maxBodyBytes: number;
  readonly maxRows: number;
  readonly timeoutMs: number;
  readonly rateLimit: RateLimitOptions | undefined;
  /** Predictions being answered at a time. */
  readonly maxConcurrent: number | undefined;
  readonly modelControl: 'none' | 'explicit';
  readonly compressFromBytes: number;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger | undefined;
}

/** Malformed, too large, of another type, or not fit for the version's signature. */
const invalidStatuses: ReadonlySet<number> = new Set([400, 413, 415, 422]);

const serverName = 'keelson';
const platform = 'keelson_javascript';
const extensions = [
  'binary_tensor_data',
  'model_configuration',
  'model_repository',
  'parameters',
  'schedule_policy',
  'statistics',
];

/**
 * The HTTP surface of serving, as a function from requests to answers: the Open Inference Protocol v2 and
 * TensorFlow Serving's predict. Never rejects: every fault is an answer `{"error": …}` with its status.
 */
export class InferenceApi {
  readonly #options: InferenceApiOptions;
  readonly #rateLimit: RateLimit | undefined;
  readonly #metrics: ServingMetrics;
  #running = 0;

  constructor(options: InferenceApiOptions) {
    this.#options = options;
    this.#metrics = new ServingMetrics(options.hosts);
    this.#rateLimit =
      options.rateLimit === undefined ? undefined : new RateLimit(options.rateLimit);
  }

  async handle(request: HttpRequest): Promise<HttpAnswer> {
    const startedAt = performance.now();
    const trace = traceContext(request.headers);
    const headerId = requestIdOf(request.headers);
    const context: Context = {
      request,
      startedAt,
      trace,
      headerId,
      requestId: undefined,
      version: undefined,
      flags: undefined,
      job: undefined,
      replica: undefined,
    };
    try {
      const endpoint = findEndpoint(request.url);
      if (!methodsOf[endpoint.kind].includes(request.method)) throw wrongMethod(request, endpoint);
      // Whatever is logged, emitted or started for the request carries its correlation.
      const answered = await withCorrelation(trace, () => this.#traced(endpoint, context));
      return encodeAnswer(request.headers, answered, this.#options.compressFromBytes);
    } catch (error) {
      return this.#refuse(error, context);
    }
  }

  /** What was counted of predictions, as Prometheus's text. */
  metrics(): string {
    return this.#metrics.text();
  }

  /** The answer, in a span that belongs to the caller's. */
  #traced(endpoint: Endpoint, context: Context): Promise<HttpAnswer> {
    const { method, headers } = context.request;
    const options = {
      kind: 'server',
      attributes: { 'http.request.method': method },
      traceparent: headerOf(headers, 'traceparent'),
    } as const;
    const name = `${method} ${endpoint.kind}`;
    return inSpan(name, options, async () => this.#answer(endpoint, context));
  }

  /** The answer to what went wrong before or outside {@link handle}. */
  refuse(error: unknown, request: Omit<HttpRequest, 'bytes'>): HttpAnswer {
    return this.#refuse(error, {
      request: { ...request, bytes: new Uint8Array() },
      startedAt: performance.now(),
      trace: traceContext(request.headers),
      headerId: requestIdOf(request.headers),
      requestId: undefined,
      version: undefined,
      flags: undefined,
      job: undefined,
      replica: undefined,
    });
  }

  #answer(endpoint: Endpoint, context: Context): HttpAnswer | Promise<HttpAnswer> {
    switch (endpoint.kind) {
      case 'infer':
        return this.#counted(endpoint.model, endpoint.version, context, 'v2');
      case 'predict':
        return this.#counted(endpoint.model, endpoint.version, context, 'v1');
      case 'metrics':
        return answer(200, metricsContentType, this.metrics(), context);
      case 'root':
        return answerJson(200, { status: 'alive' }, context);
      case 'server':
        return answerJson(200, { name: serverName, version: '0', extensions }, context);
      case 'live':
        return answerJson(200, { live: true }, context);
      case 'ready': {
        const isReady =
          !this.#options.isDraining() &&
          [...this.#options.hosts.values()].some((host) => host.isReady);
        return answerJson(isReady ? 200 : 503, { live: isReady, ready: isReady }, context);
      }
      case 'index':
        return answerJson(
          200,
          repositoryIndex(this.#options.hosts.values(), context.request.bytes),
          context,
        );
      case 'openapi':
        return this.#openApi([...this.#options.hosts.values()], true, context);
      case 'modelOpenapi':
        return this.#openApi([this.#host(endpoint.model)], false, context);
      case 'load':
      case 'unload':
        return this.#control(endpoint.kind, endpoint.model, context);
      case 'allStats':
        return this.#options.hosts.has('stats')
          ? this.#describe('model', 'stats', undefined, context)
          : this.#statistics([...this.#options.hosts.values()], undefined, context);
      case 'stats':
        return this.#statistics([this.#host(endpoint.model)], endpoint.version, context);
      default:
        return this.#describe(endpoint.kind, endpoint.model, endpoint.version, context);
    }
  }

  async #openApi(
    hosts: readonly DeploymentHost[],
    server: boolean,
    context: Context,
  ): Promise<HttpAnswer> {
    const deployments = hosts.map(({ deployment, versions }) => ({
      name: deployment,
      versions: versions.map(({ model }) => model),
    }));
    const [only] = deployments;
    if (!server && only?.versions.length === 0)
      throw new KeelsonError('UNAVAILABLE', `Deployment ${only.name} is not ready.`);
    return answerJson(200, await openApiDocument(deployments, { server }), context);
  }

  async #control(action: 'load' | 'unload', model: string, context: Context): Promise<HttpAnswer> {
    const { bytes } = context.request;
    await controlModel(action, this.#host(model), bytes, this.#options.modelControl);
    return answerJson(200, {}, context);
  }

  #statistics(
    hosts: readonly DeploymentHost[],
    name: string | undefined,
    context: Context,
  ): HttpAnswer {
    const versions = hosts.flatMap((host) => {
      const chosen = name === undefined ? host.versions : [host.getVersion(name)];
      return chosen.map(({ model }) => ({
        deployment: host.deployment,
        counts: host.counts.of(model.version),
      }));
    });
    return answerJson(200, modelStatistics(versions), context);
  }

  #describe(
    kind: 'model' | 'modelReady' | 'versions' | 'config' | 'status' | 'metadata',
    model: string,
    name: string | undefined,
    context: Context,
  ): HttpAnswer {
    const host = this.#host(model);
    const chosen = name === undefined ? host.versions[0] : host.getVersion(name);
    const isReady = name === undefined ? host.isReady : (chosen?.pool.liveCount ?? 0) > 0;
    if (kind === 'modelReady')
      return answerJson(isReady ? 200 : 503, { name: model, ready: isReady }, context);
    if (kind === 'versions') {
      return answerJson(
        200,
        { name: model, versions: host.versions.map((v) => v.model.version) },
        context,
      );
    }
    if (chosen === undefined)
      throw new KeelsonError('UNAVAILABLE', `Deployment ${model} is not ready.`);
    if (kind === 'config')
      return answerJson(200, modelConfiguration(model, chosen, this.#options.maxRows), context);
    if (kind === 'status') return answerJson(200, v1Status(host, chosen, isReady), context);
    const metadata = {
      name: model,
      versions:
        name === undefined ? host.versions.map((v) => v.model.version) : [chosen.model.version],
      platform,
      inputs: chosen.model.signature.inputs.map(describeTensor),
      outputs: chosen.model.signature.outputs.map(describeTensor),
    };
    return answerJson(
      200,
      kind === 'metadata'
        ? { model_spec: { name: model, version: chosen.model.version }, metadata }
        : metadata,
      context,
    );
  }

  async #counted(
    model: string,
    version: string | undefined,
    context: Context,
    protocol: 'v1' | 'v2',
  ): Promise<HttpAnswer> {
    let status = 500;
    this.#running += 1;
    try {
      if (this.#running > (this.#options.maxConcurrent ?? Number.POSITIVE_INFINITY)) {
        const message = `The server is overloaded: ${this.#options.maxConcurrent} requests are being answered.`;
        throw new KeelsonError('EXHAUSTED', message);
      }
      const answered = await this.#infer(model, version, context, protocol);
      status = answered.status;
      return answered;
    } catch (error) {
      status = statusOf(error);
      // Other 4xx are of the caller's standing or of names, not of what was asked.
      if (invalidStatuses.has(status) && !isKeelsonError(error, 'FAILED'))
        this.#options.hosts.get(model)?.refused(context.version, this.#options.clock.now());
      if (isKeelsonError(error) && typeof error.details.replica === 'string')
        context.replica = error.details.replica;
      throw error;
    } finally {
      this.#running -= 1;
      this.#metrics.note({
        deployment: model,
        version: context.version,
        replica: context.job?.replica ?? context.replica,
        status,
        latencyMs: performance.now() - context.startedAt,
        job: context.job,
      });
    }
  }

  async #infer(
    model: string,
    version: string | undefined,
    context: Context,
    protocol: 'v1' | 'v2',
  ): Promise<HttpAnswer> {
    const { headers } = context.request;
    const { rateLimit, maxBodyBytes } = this.#options;
    if (this.#rateLimit !== undefined) {
      const client =
        rateLimit?.header === undefined
          ? context.request.client
          : headerOf(headers, rateLimit.header.toLowerCase());
      this.#rateLimit.take(client ?? '', context.startedAt);
    }
    const host = this.#host(model);
    assertContentType(headers);
    const unpacked = unpackBody(headers, context.request.bytes, maxBodyBytes);
    const body = unpacked instanceof Uint8Array ? unpacked : await unpacked;
    const signature = (): ModelSignature | undefined => signatureOf(host, version);
    const request = readInference(protocol, body, headers, signature);
    context.requestId = request.id ?? context.headerId ?? this.#options.ids.next();
    assertRows(request, this.#options.maxRows);
    const result = await host.infer(this.#call(host, request, version, context));
    context.job = result.answer;
    context.flags = result.findings && namesOf(result.findings).join(', ');
    return protocol === 'v2'
      ? answerInfer(model, request, result, context)
      : answer(
          200,
          json,
          encodePredictAnswer(request, result.version.model.signature, result.outputs),
          context,
        );
  }

  #call(
    host: DeploymentHost,
    request: InferRequest,
    version: string | undefined,
    context: Context,
  ): InferCall {
    const { headers } = context.request;
    const { parameters } = request;
    return {
      request,
      requestId: context.requestId as string,
      version,
      timeoutMs: callerDeadline(headers, parameters, host.timeoutMs ?? this.#options.timeoutMs),
      startedAt: context.startedAt,
      at: callerTime(parameters.at) ?? this.#options.clock.now(),
      correlationId: context.trace.isGiven ? context.trace.correlationId : undefined,
      isGone: context.request.isGone ?? stays,
      chosen: (chosen) => {
        context.version = chosen;
      },
      header: (name) => headerOf(headers, name),
      attribute: (name) => (Object.hasOwn(parameters, name) ? parameters[name] : undefined),
    };
  }

  #host(model: string): DeploymentHost {
    const host = this.#options.hosts.get(model);
    if (host === undefined) {
      throw refusal(
        404,
        'NOT_FOUND',
        `There is no deployment ${JSON.stringify(model.slice(0, 60))} here.`,
      );
    }
    return host;
  }

  #refuse(error: unknown, context: Context): HttpAnswer {
    const status = statusOf(error);
    const { logger } = this.#options;
    if (!isKeelsonError(error))
      logger?.error({ error, url: context.request.url }, 'A request met an unexpected fault.');
    // What is not one of our errors may say more than a caller should read.
    const message = isKeelsonError(error)
      ? error.message
      : 'Internal error; the server has logged it.';
    const headers: Record<string, string> = {};
    if (status === 405 && isKeelsonError(error)) headers.allow = String(error.details.allow);
    if (status === 429 || status === 503) {
      const waitMs = isKeelsonError(error) ? error.details.retryAfterMs : undefined;
      headers['retry-after'] = String(
        Math.max(1, Math.ceil((typeof waitMs === 'number' ? waitMs : 1000) / 1000)),
      );
    }
    return answerJson(status, { error: message }, context, headers);
  }
}

const stays = (): boolean => false;

/** By which a body is read that does not say itself what it is. */
function signatureOf(
  host: DeploymentHost,
  version: string | undefined,
): ModelSignature | undefined {
  const asked = version === undefined ? host.versions[0] : host.getVersion(version);
  return asked?.model.signature;
}

function callerTime(at: unknown): number | undefined {
  if (at === undefined) return undefined;
  if (typeof at !== 'number' || !Number.isSafeInteger(at) || at < 0) {
    throw malformed('parameters.at', 'the time of the request in epoch ms', describeValue(at));
  }
  return at;
}

function wrongMethod(request: HttpRequest, endpoint: Endpoint): KeelsonError {
  const allow = methodsOf[endpoint.kind].join(', ');
  return refusal(
    405,
    'UNSUPPORTED',
    `${request.method.slice(0, 20)} is not allowed here; use ${allow}.`,
    { allow },
  );
}
