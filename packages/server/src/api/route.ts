import type { ExpectedRevision, Permission, Services } from '@keelson/core';
import type { z } from 'zod';
import type { Webhooks } from '../access/webhooks.ts';
import type { RequestHeaders } from '../http/exchange.ts';
import type { MountedServing } from '../serving/mounted-serving.ts';

/** What a route may be asked by. */
export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What a call carries: path and query parameters by name, and `body` where the route takes one. */
export type Input = object & { readonly body?: unknown };

/** The body that an input has; never for one without. */
export type BodyOf<I> = I extends { readonly body?: infer B } ? B : never;

/** A call as a row is asked: checked, by somebody. */
export interface Call<I> {
  readonly input: I;
  /** Bound to the caller, so that each asks what the caller may. */
  readonly services: Services;
  readonly headers: RequestHeaders;
  /** What was sent, for routes that take bytes; a JSON body was read already. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal;
  /** What `If-Match` names, where the row takes revisions. */
  readonly revision: number | undefined;
  /** Proves calls that nobody signs in for. */
  readonly webhooks: Webhooks;
  /** What answers inference in this process, where something does. */
  readonly serving: MountedServing | undefined;
  /** The whole table, for rows that describe it. */
  readonly table: object;
  /** Whether requests should be sent to this process. */
  isReady(): Promise<boolean>;
}

/** Bytes with what is known of them. */
export interface Content {
  readonly mediaType: string;
  readonly sizeBytes?: number;
  /** The strong validator of these very bytes. */
  readonly etag?: string;
  /** What browsers save it as. */
  readonly fileName?: string;
  /** What the content may do in a browser; nothing when left out. */
  readonly policy?: string;
  /** The end is excluded. */
  open(range?: {
    readonly start: number;
    readonly end: number;
  }): Promise<AsyncIterable<Uint8Array>>;
}

/** One message of a stream (server-sent events). */
export interface StreamMessage<T> {
  /** Where to go on after it, by `Last-Event-ID`. */
  readonly id?: string;
  readonly event?: string;
  readonly data: T;
}

/** Messages as they come, until the caller goes. */
export interface MessageStream<T> {
  readonly messages: AsyncIterable<StreamMessage<T>>;
}

/** What a row answers. */
export type Answers<A> = A extends Content
  ? { readonly as: 'bytes'; readonly mediaTypes: readonly string[] }
  : A extends MessageStream<infer T>
    ? { readonly as: 'messages'; readonly schema: z.ZodType<T> }
    : A extends undefined
      ? { readonly as: 'nothing' }
      : {
          readonly as: 'json';
          readonly status?: 200 | 201 | 202;
          readonly schema: z.ZodType<A> /** Answers that are 503. */;
          isOutage?(answer: A): boolean;
        };

/** A body that is no JSON. */
export interface Upload {
  readonly mediaTypes: readonly string[];
  /** What a body of JSON must look like, where one is taken as well. */
  readonly json?: z.ZodType;
}

/** One row of the table: all that is known of a route. */
export interface Route<I extends Input, A> {
  readonly method: Method;
  /** Below `/api/v1`; `{name}` is one segment, `{name+}` all that follow. */
  readonly path: string;
  /** Other paths by which the same is asked. */
  readonly aliases?: readonly string[];
  /** Other paths, not below `/api/v1`. */
  readonly outside?: readonly string[];
  readonly summary: string;
  readonly description?: string;
  /** What the caller must be allowed; `open` to everybody. */
  readonly permission: Permission | 'open';
  /** Path parameters that are more than a text. */
  readonly params?: { readonly [K in Exclude<keyof I, 'body'>]?: z.ZodType };
  readonly query?: { readonly [K in Exclude<keyof I, 'body'>]?: z.ZodType };
  readonly body?: z.ZodType<BodyOf<I>>;
  readonly upload?: Upload;
  /** Whether the answer holds a secret: it is kept nowhere, so that `Idempotency-Key` is not taken. */
  readonly isSecret?: boolean;
  /** Of an open route: callers prove themselves by a signature, and may be refused with 401. */
  readonly isSigned?: boolean;
  /** Whether `If-Match` with a revision is understood; of which record, as it is now, where the service does not ask by itself. */
  readonly revisions?: true | ((call: Call<I>) => Promise<ExpectedRevision>);
  /** Other names of fields of the query and body. snake_case is understood without being listed. */
  readonly spellings?: Readonly<Record<string, string>>;
  readonly answers: Answers<A>;
  /** Statuses beside those that every route may answer. */
  readonly failures?: readonly number[];
  /** A call that a platform answers which holds what the examples name. */
  readonly example: I;
  run(call: Call<I>): Promise<A>;
}

/** A row whatever it takes and answers, for what is made of the whole table. */
export type AnyRoute = Omit<
  Route<Input, unknown>,
  'run' | 'answers' | 'example' | 'body' | 'revisions'
> & {
  readonly revisions?: true | ((call: Call<never>) => Promise<ExpectedRevision>);
  readonly body?: z.ZodType;
  readonly answers:
    | { readonly as: 'bytes'; readonly mediaTypes: readonly string[] }
    | { readonly as: 'messages'; readonly schema: z.ZodType }
    | { readonly as: 'nothing' }
    | {
        readonly as: 'json';
        readonly status?: 200 | 201 | 202;
        readonly schema: z.ZodType;
        isOutage?(answer: unknown): boolean;
      };
  readonly example: object;
  run(call: Call<never>): Promise<unknown>;
};

/** What stands before the paths of the table. */
export const apiBase = '/api/v1';

/** All paths of a row, whole. */
export function pathsOf({ path, aliases = [], outside = [] }: AnyRoute): readonly string[] {
  return [...[path, ...aliases].map((each) => apiBase + each), ...outside];
}

/** Rows by resource and verb, such as `runs.start`. */
export type RouteTable = Readonly<Record<string, Readonly<Record<string, AnyRoute>>>>;

/** A row with its name in the table. */
export interface NamedRoute {
  readonly resource: string;
  readonly verb: string;
  readonly row: AnyRoute;
}

/** All rows of a table, in its order. */
export function rowsOf(table: object): readonly NamedRoute[] {
  return Object.entries(table as RouteTable).flatMap(([resource, rows]) =>
    Object.entries(rows).map(([verb, row]) => ({ resource, verb, row })),
  );
}
