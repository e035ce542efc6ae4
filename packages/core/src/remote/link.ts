import { setTimeout as wait } from 'node:timers/promises';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { decodeJson, encodeJson, type Json } from '../json.ts';
import { uuidV7 } from '../uuid.ts';
import {
  brokenOff,
  callServer,
  type RemoteRequest,
  type RemoteServer,
  retryAfter,
} from './http-call.ts';

/** How one call is made. */
export interface LinkCall extends Omit<RemoteRequest, 'body'> {
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Bytes, made anew for each attempt. */
  readonly bytes?: () => NonNullable<RequestInit['body']>;
  readonly mediaType?: string;
  /** The call changes something, and is not harmless when it is made twice. */
  readonly once?: boolean;
  /** As the link's when left out. */
  readonly retryMs?: number | undefined;
}

const firstPauseMs = 100;
const longestPauseMs = 5_000;

/**
 * The line to a platform elsewhere. A call that does not get through is made again, later and later, until `retryMs`
 * are over; one that changes something has a key under which the server does it once.
 */
export class Link {
  readonly server: RemoteServer;
  readonly #retryMs: number;
  readonly #closed = new AbortController();

  constructor(server: RemoteServer, options: { readonly retryMs: number }) {
    this.server = server;
    this.#retryMs = options.retryMs;
  }

  /** The value of a JSON answer; undefined for an empty one. */
  async call(call: LinkCall): Promise<Json | undefined> {
    return this.#again(call, async (request) => {
      const response = await callServer(this.server, request);
      const text = await response.text().catch((error: unknown) => {
        throw brokenOff(this.server, error, call.signal);
      });
      return text === '' ? undefined : decodeJson(text);
    });
  }

  /** The answer, whose body is still to be read. */
  async open(call: LinkCall): Promise<Response> {
    return this.#again(call, (request) => callServer(this.server, request));
  }

  /** From now on every call rejects with CLOSED. */
  close(): void {
    this.#closed.abort(closedError());
  }

  async #again<T>(call: LinkCall, ask: (request: RemoteRequest) => Promise<T>): Promise<T> {
    const { retryMs = this.#retryMs, ...asked } = call;
    const request = this.#requestOf(asked);
    const startedAt = performance.now();
    for (let attempt = 0; ; attempt += 1) {
      if (this.#closed.signal.aborted) throw closedError();
      try {
        return await ask(request);
      } catch (error) {
        const said = retryAfter(error);
        if (said === undefined) throw error;
        const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** attempt);
        const waitMs = Math.max(said, pauseMs * (0.5 + Math.random() / 2));
        if (performance.now() - startedAt + waitMs > retryMs) throw error;
        await this.#pause(waitMs, call.signal);
      }
    }
  }

  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const closed = this.#closed.signal;
    const either = signal === undefined ? closed : AbortSignal.any([closed, signal]);
    try {
      await wait(ms, undefined, { signal: either });
    } catch (cause) {
      if (closed.aborted) throw closedError();
      if (isKeelsonError(signal?.reason)) throw signal.reason;
      throw new KeelsonError('ABORTED', 'The call was aborted by its caller.', { cause });
    }
  }

  #requestOf({ json, bytes, mediaType, once, headers, ...request }: LinkCall): RemoteRequest {
    const text = json === undefined ? undefined : encodeJson(json, 'The call');
    const type = mediaType ?? (text === undefined ? undefined : 'application/json');
    const body = text === undefined ? bytes : () => text;
    return {
      ...request,
      ...(body === undefined ? {} : { body }),
      headers: {
        ...headers,
        ...(type === undefined ? {} : { 'content-type': type }),
        ...(once === true ? { 'idempotency-key': uuidV7() } : {}),
      },
    };
  }
}

function closedError(): KeelsonError {
  return new KeelsonError('CLOSED', 'This platform is closed; open another with openPlatform().');
}
