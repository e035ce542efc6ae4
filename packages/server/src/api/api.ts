import {
  inSpan,
  isKeelsonError,
  type Logger,
  type Services,
  withCorrelation,
  withExpectedRevision,
} from '@keelson/core';
import type { Webhooks } from '../access/webhooks.ts';
import { headerOf, type ServerAnswer, type ServerRequest, splitUrl } from '../http/exchange.ts';
import { sentBytes } from '../http/request-body.ts';
import type { MountedServing } from '../serving/mounted-serving.ts';
import { answerOf, expectedRevision } from './answer.ts';
import { answerOnce } from './answer-once.ts';
import { problemAnswer, refusal, statusOf } from './problem.ts';
import { readInput } from './read-input.ts';
import { type AnyRoute, apiBase, type Call } from './route.ts';
import { RouteLookup } from './route-lookup.ts';
import { routeTable } from './route-table.ts';
import { type Trace, traceOf } from './trace.ts';

/** Answers what lies below `/api/v1` and the other paths of the table; undefined for what does not. Never rejects. */
export type Api = (request: ServerRequest) => Promise<ServerAnswer | undefined>;

/** What the control plane works with. */
export interface ApiParts {
  /** The services of whoever calls; FORBIDDEN, with `details.httpStatus` 401, for nobody. */
  servicesFor(request: ServerRequest): Promise<Services>;
  /** Whether requests should be sent to this process. */
  isReady(): Promise<boolean>;
  readonly webhooks: Webhooks;
  readonly serving?: MountedServing | undefined;
  /** Ends streams. */
  readonly closing?: AbortSignal | undefined;
  readonly logger?: Logger | undefined;
}

/** The control plane, made of its table. */
export function createApi(parts: ApiParts): Api {
  const lookup = new RouteLookup(routeTable);

  return async (request) => {
    const { path, query } = splitUrl(request.url);
    const isOurs = path === apiBase || path.startsWith(`${apiBase}/`);
    const trace = traceOf(request.headers);
    try {
      const found = lookup.find(path);
      if (found === undefined && !isOurs) return undefined;
      if (found === undefined) {
        throw refusal(
          404,
          'NOT_FOUND',
          `There is nothing at ${path.slice(0, 200)}; ${apiBase}/docs lists what there is.`,
        );
      }
      const { params, byMethod } = found;
      const route = byMethod.get(request.method === 'HEAD' ? 'GET' : request.method);
      if (route === undefined) throw wrongMethod(request.method, [...byMethod.keys()]);
      const name = `${route.row.method} ${apiBase}${route.row.path}`;
      const options = {
        kind: 'server',
        attributes: {
          'http.request.method': request.method,
          'http.route': apiBase + route.row.path,
        },
        traceparent: headerOf(request.headers, 'traceparent'),
      } as const;
      const answer = await withCorrelation(trace, () =>
        inSpan(name, options, () => answerCall(route.row, request, { params, query })),
      );
      return traced(answer, trace);
    } catch (error) {
      if (!isKeelsonError(error) || statusOf(error) === 500) {
        const fields = { component: 'server', error, path, correlationId: trace.correlationId };
        parts.logger?.error(fields, `${request.method} ${path.slice(0, 200)} failed.`);
      }
      return traced(problemAnswer(error, trace.correlationId), trace);
    }
  };

  async function answerCall(
    row: AnyRoute,
    request: ServerRequest,
    given: { readonly params: Readonly<Record<string, string>>; readonly query: URLSearchParams },
  ): Promise<ServerAnswer> {
    // Who asks comes first: strangers learn nothing of what a route takes.
    const services = row.permission === 'open' ? undefined : await parts.servicesFor(request);
    const input = await readInput(row, request, given);
    const { headers } = request;
    const { closing } = parts;
    const endsWithUs = row.answers.as === 'messages' && closing !== undefined;
    const signal = endsWithUs ? AbortSignal.any([request.signal, closing]) : request.signal;
    const revision = row.revisions !== undefined ? expectedRevision(headers) : undefined;
    const { isReady, webhooks, serving } = parts;
    const bytes = sentBytes(request);
    const known = { input, services, headers, bytes, signal, revision };
    const call = { ...known, webhooks, serving, table: routeTable, isReady };
    const answer = async (): Promise<ServerAnswer> =>
      answerOf(row, await runExpected(row, call as unknown as Call<never>), request, signal);
    try {
      return services === undefined
        ? await answer()
        : await answerOnce(row, request, { services, input, answer });
    } catch (error) {
      throw revision === undefined ? error : preconditionOf(error);
    }
  }
}

/** A row's work, which changes its record only where that is as the caller has read it. */
async function runExpected(row: AnyRoute, call: Call<never>): Promise<unknown> {
  const { revisions } = row;
  const { revision } = call;
  if (typeof revisions !== 'function' || revision === undefined) return row.run(call);
  const there = await revisions(call);
  if (there.revision !== revision) {
    const message = `It was changed in the meantime: it has revision ${there.revision}, not ${revision}; read it again.`;
    throw refusal(412, 'STALE', message, { revision: there.revision });
  }
  // And where it is changed from here on, by the commit.
  return withExpectedRevision(there, () => row.run(call));
}

/** A change that was held up by another revision than `If-Match` named. */
function preconditionOf(error: unknown): unknown {
  if (!isKeelsonError(error, 'CONFLICT', 'STALE')) return error;
  const { revision } = error.details;
  return typeof revision === 'number' ? refusal(412, 'STALE', error.message, { revision }) : error;
}

function traced(answer: ServerAnswer, { correlationId, traceparent }: Trace): ServerAnswer {
  const headers = { ...answer.headers, 'x-correlation-id': correlationId, traceparent };
  return { ...answer, headers };
}

function wrongMethod(method: string, allowed: readonly string[]): Error {
  const allow = allowed.flatMap((each) => (each === 'GET' ? ['GET', 'HEAD'] : [each])).join(', ');
  return refusal(405, 'UNSUPPORTED', `${method.slice(0, 20)} is not for this path; use ${allow}.`, {
    allow,
  });
}
