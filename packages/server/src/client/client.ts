import { decodeJson, type ErrorCode, encodeJson, errorCodes, KeelsonError } from '@keelson/core';
import {
  type AnyRoute,
  apiBase,
  type Content,
  type Input,
  type MessageStream,
  type Route,
  type RouteTable,
  type StreamMessage,
} from '../api/route.ts';
import { type ControlPlane, routeTable } from '../api/route-table.ts';

/** Where a platform is, and who asks. */
export interface ClientOptions {
  /** Such as `http://127.0.0.1:5000`, with what stands before its paths. */
  readonly url: string;
  /** An API key or a token; or what gives one, before each call. */
  readonly token?: string | (() => string | Promise<string>);
  /** In place of the global one. */
  readonly fetch?: typeof fetch;
}

/** How one call is made. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /** The same key again answers what was answered, without doing it again. */
  readonly idempotencyKey?: string;
  /** The revision that a change is meant for. */
  readonly revision?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** What is uploaded, where bytes are taken. */
  readonly content?: RequestInit['body'] | FormData;
}

type Answered<A> = A extends Content
  ? Response
  : A extends MessageStream<infer T>
    ? AsyncIterable<StreamMessage<T>>
    : A;

type Calls<Rows> = {
  readonly [Verb in keyof Rows]: Rows[Verb] extends Route<infer I, infer A>
    ? Partial<I> extends I
      ? (input?: I, options?: CallOptions) => Promise<Answered<A>>
      : (input: I, options?: CallOptions) => Promise<Answered<A>>
    : never;
};

/** The control plane as functions: `client.runs.start({ body: { experiment: 'weather' } })`. */
export type Client = { readonly [Resource in keyof ControlPlane]: Calls<ControlPlane[Resource]> };

/**
 * A typed client, made of the table of routes. It rejects with the `KeelsonError` that the platform has refused with;
 * UNAVAILABLE where the platform is not reached.
 */
export function createClient(options: ClientOptions): Client {
  const resources = Object.entries(routeTable as unknown as RouteTable).map(([resource, rows]) => {
    const calls = Object.entries(rows).map(([verb, row]) => [
      verb,
      (input: Input = {}, how: CallOptions = {}) => callRoute(options, row, input, how),
    ]);
    return [resource, Object.fromEntries(calls)];
  });
  return Object.fromEntries(resources) as Client;
}

async function callRoute(
  { url, token, fetch: send = fetch }: ClientOptions,
  row: AnyRoute,
  { body, ...fields }: Record<string, unknown>,
  how: CallOptions,
): Promise<unknown> {
  const { path, query } = placed(row, fields);
  const bearer = typeof token === 'function' ? await token() : token;
  const headers: Record<string, string> = {
    ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    ...(how.idempotencyKey === undefined ? {} : { 'idempotency-key': how.idempotencyKey }),
    ...(how.revision === undefined ? {} : { 'if-match': `W/"${how.revision}"` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...how.headers,
  };
  const sent = body === undefined ? (how.content ?? null) : encodeJson(body, 'The body');
  const target = `${url.replace(/\/$/, '')}${apiBase}${path}${query}`;
  let response: Response;
  try {
    const init = {
      method: row.method,
      headers,
      body: sent,
      duplex: 'half',
      ...(how.signal === undefined ? {} : { signal: how.signal }),
    };
    response = await send(target, init as RequestInit);
  } catch (cause) {
    if (how.signal?.aborted === true)
      throw new KeelsonError('ABORTED', 'The call was aborted.', { cause });
    throw new KeelsonError('UNAVAILABLE', `${url} could not be reached; is the platform there?`, {
      cause,
    });
  }
  if (!response.ok) throw await refusalOf(response);
  switch (row.answers.as) {
    case 'nothing':
      return undefined;
    case 'bytes':
      return response;
    case 'messages':
      return messagesOf(response);
    case 'json':
      return decodeJson(await response.text());
  }
}

function placed(
  row: AnyRoute,
  fields: Record<string, unknown>,
): { readonly path: string; readonly query: string } {
  const left = { ...fields };
  const path = row.path.replace(/\{(\w+)(\+?)\}/g, (_, name: string, rest: string) => {
    const value = String(left[name] ?? '');
    if (value === '') throw new KeelsonError('INVALID', `${row.method} ${row.path} needs ${name}.`);
    delete left[name];
    return rest === '+'
      ? value.split('/').map(encodeURIComponent).join('/')
      : encodeURIComponent(value);
  });
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(left)) {
    for (const each of [value].flat()) if (each !== undefined) query.append(name, String(each));
  }
  return { path, query: query.size === 0 ? '' : `?${query}` };
}

/** The error that a problem stands for; of what is no problem of ours, one by its status. */
async function refusalOf(response: Response): Promise<KeelsonError> {
  const text = await response.text();
  try {
    const { code, detail, details, errors } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (errorCodes.includes(code as ErrorCode)) {
      const more = {
        ...(details as object | undefined),
        httpStatus: response.status,
        ...(errors === undefined ? {} : { problems: errors }),
      };
      return new KeelsonError(code as ErrorCode, String(detail), { details: more });
    }
  } catch {
    // What stands between has answered in its own way.
  }
  const code = response.status >= 500 ? 'UNAVAILABLE' : 'FAILED';
  const message = `${response.url} answered ${response.status}, and not as Keelson does: ${text.slice(0, 200)}`;
  return new KeelsonError(code, message, { details: { httpStatus: response.status } });
}

async function* messagesOf(
  response: Response,
): AsyncGenerator<StreamMessage<unknown>, void, undefined> {
  const decoder = new TextDecoder();
  let held = '';
  for await (const chunk of response.body ?? []) {
    held += decoder.decode(chunk as Uint8Array, { stream: true });
    for (let end = held.indexOf('\n\n'); end >= 0; end = held.indexOf('\n\n')) {
      const message = messageOf(held.slice(0, end));
      held = held.slice(end + 2);
      if (message !== undefined) yield message;
    }
  }
}

/** Undefined for what only keeps the connection open. */
function messageOf(text: string): StreamMessage<unknown> | undefined {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    const had = fields.get(name);
    fields.set(name, had === undefined ? value : `${had}\n${value}`);
  }
  const data = fields.get('data');
  if (data === undefined) return undefined;
  const [id, event] = [fields.get('id'), fields.get('event')];
  return {
    ...(id === undefined ? {} : { id }),
    ...(event === undefined ? {} : { event }),
    data: decodeJson(data),
  };
}
