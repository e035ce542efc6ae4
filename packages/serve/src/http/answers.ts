import { parametersOf } from '../checks/finding.ts';
import type { InferResult } from '../hosting/infer-call.ts';
import { encodeInferAnswer } from '../protocol/infer-answer.ts';
import type { InferRequest } from '../protocol/infer-request.ts';
import type { JobAnswer } from '../replicas/job.ts';
import { type HttpAnswer, type HttpRequest, headerOf, type RequestHeaders } from './exchange.ts';
import type { TraceContext } from './trace-context.ts';

/** The media type of JSON. */
export const json = 'application/json';

/** What is known of a request while it is answered. */
export interface Context {
  readonly request: HttpRequest;
  readonly startedAt: number;
  readonly trace: TraceContext;
  readonly headerId: string | undefined;
  requestId: string | undefined;
  version: string | undefined;
  /** What answer checks have found, for a header. */
  flags: string | undefined;
  /** What a replica answered. */
  job: JobAnswer | undefined;
  /** The one that failed. */
  replica: string | undefined;
}

const visible = /^[\x21-\x7e]{1,256}$/;

/** The id that a request came with, where a header can carry it. */
export function requestIdOf(headers: RequestHeaders): string | undefined {
  const id = headerOf(headers, 'x-request-id');
  return id !== undefined && visible.test(id) ? id : undefined;
}

/** A text as a header can carry it. */
function headerText(text: string): string {
  return visible.test(text) ? text : encodeURIComponent(text);
}

/** An answer with the headers that all have. */
export function answer(
  status: number,
  contentType: string,
  body: string | Uint8Array,
  context: Context,
  more?: Readonly<Record<string, string>>,
): HttpAnswer {
  const headers: Record<string, string> = {
    'content-type': contentType,
    'content-length': String(typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength),
    traceparent: context.trace.traceparent,
    'x-correlation-id': context.trace.correlationId,
  };
  const requestId = context.requestId ?? context.headerId;
  if (requestId !== undefined) headers['x-request-id'] = headerText(requestId);
  if (context.version !== undefined) headers['x-model-version'] = headerText(context.version);
  if (context.flags !== undefined) headers['x-model-flags'] = context.flags;
  if (more !== undefined) Object.assign(headers, more);
  return { status, headers, body };
}

/** An answer of JSON. */
export function answerJson(
  status: number,
  value: unknown,
  context: Context,
  more?: Readonly<Record<string, string>>,
): HttpAnswer {
  return answer(status, json, JSON.stringify(value), context, more);
}

/** The answer of `infer`, in the form that was asked for. */
export function answerInfer(
  modelName: string,
  request: InferRequest,
  { version, outputs, findings }: InferResult,
  context: Context,
): HttpAnswer {
  const { body, headerLength } = encodeInferAnswer({
    modelName,
    modelVersion: version.model.version,
    id: request.id,
    outputs,
    requested: request.outputs,
    binaryOutputs: request.binaryOutputs,
    parameters: findings && parametersOf(findings),
  });
  if (headerLength === undefined) return answer(200, json, body, context);
  return answer(200, 'application/octet-stream', body, context, {
    'inference-header-content-length': String(headerLength),
  });
}
