import {
  Agent,
  type IncomingMessage,
  type RequestOptions,
  request as requestHttp,
} from 'node:http';
import { request as requestHttps, Agent as SecureAgent } from 'node:https';
import { KeelsonError } from '@keelson/core';

/** One request to an inference server. */
export interface RemoteCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Below the endpoint, with a slash at its begin. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** What the server answered, with whatever status. */
export interface RemoteAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly bytes: Buffer;
}

/** Where a server is and what it is allowed. */
export interface RemoteHttpOptions {
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Connections at the most; more calls wait for one. */
  readonly maxConnections: number;
  readonly maxAnswerBytes: number;
}

/** Less than servers keep idle connections (uvicorn 5 s): one that is being closed cannot take a request. */
const idleMs = 4_000;

/** A bounded pool of kept-alive connections to one server, by node:http (`fetch` costs twice as much a call). */
export class RemoteHttp {
  readonly endpoint: string;
  readonly #options: RemoteHttpOptions;
  readonly #url: URL;
  readonly #agent: Agent;

  /** INVALID for an endpoint that is no http or https address. */
  constructor(options: RemoteHttpOptions) {
    const url = URL.canParse(options.endpoint) ? new URL(options.endpoint) : undefined;
    if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
      throw new KeelsonError(
        'INVALID',
        `Endpoint ${JSON.stringify(options.endpoint)} must be an address such as http://127.0.0.1:8080.`,
      );
    }
    const { maxConnections } = options;
    const pool = {
      keepAlive: true,
      maxSockets: maxConnections,
      maxFreeSockets: maxConnections,
      timeout: idleMs,
    };
    this.#options = options;
    this.#url = url;
    this.#agent = url.protocol === 'https:' ? new SecureAgent(pool) : new Agent(pool);
    // Without what it may hold of a password.
    this.endpoint = `${url.origin}${url.pathname.replace(/\/$/, '')}`;
  }

  /**
   * Rejects with UNAVAILABLE when the server cannot be reached or breaks off, TIMEOUT when it has not answered wholly after
   * `timeoutMs`, ABORTED by `signal` (either ends the connection, which is how a server learns of it), FAILED for an
   * answer over the limit. A kept connection that the server was just closing is replaced once.
   */
  async call(
    call: RemoteCall,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<RemoteAnswer> {
    const deadlineAt = performance.now() + options.timeoutMs;
    for (;;) {
      const attempt = { reused: false };
      try {
        return await this.#send(call, deadlineAt, options, attempt);
      } catch (error) {
        if (!attempt.reused) throw error;
      }
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(
    call: RemoteCall,
    deadlineAt: number,
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
    attempt: { reused: boolean },
  ): Promise<RemoteAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<RemoteAnswer>();
    if (signal?.aborted) return Promise.reject(aborted());
    let why: KeelsonError | undefined;
    const send = this.#url.protocol === 'https:' ? requestHttps : requestHttp;
    const request = send(this.#url, this.#requestOptions(call), (response) => {
      this.#read(response).then(resolve, (cause: Error) =>
        reject(why ?? (cause instanceof KeelsonError ? cause : this.#broken(cause))),
      );
      response.on('error', () => request.destroy());
    });
    request.on('error', (cause: NodeJS.ErrnoException) => {
      attempt.reused = why === undefined && request.reusedSocket && cause.code === 'ECONNRESET';
      reject(why ?? this.#broken(cause));
    });
    const end = (error: KeelsonError): void => {
      why = error;
      request.destroy(error);
      reject(error);
    };
    const leftMs = Math.max(0, deadlineAt - performance.now());
    const timer = setTimeout(() => {
      const message = `The inference server at ${this.endpoint} did not answer within ${Math.round(timeoutMs)} ms.`;
      end(new KeelsonError('TIMEOUT', message));
    }, leftMs);
    const abort = (): void => end(aborted());
    signal?.addEventListener('abort', abort, { once: true });
    request.end(call.body);
    return promise.finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    });
  }

  #requestOptions(call: RemoteCall): RequestOptions {
    const base = this.#url.pathname.replace(/\/$/, '');
    const length = call.body === undefined ? 0 : Buffer.byteLength(call.body);
    return {
      agent: this.#agent,
      method: call.method,
      path: `${base}${call.path}`,
      headers: {
        accept: 'application/json, application/octet-stream',
        ...this.#options.headers,
        ...call.headers,
        ...(call.method === 'POST' ? { 'content-length': String(length) } : {}),
      },
    };
  }

  async #read(response: IncomingMessage): Promise<RemoteAnswer> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.byteLength;
      if (size > this.#options.maxAnswerBytes) {
        throw new KeelsonError(
          'FAILED',
          `The inference server at ${this.endpoint} answered more than ${this.#options.maxAnswerBytes} bytes; raise the option maxAnswerBytes if that is meant.`,
        );
      }
      chunks.push(chunk);
    }
    const [first] = chunks;
    const bytes = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, size);
    return { status: response.statusCode ?? 0, headers: response.headers, bytes };
  }

  #broken(cause: NodeJS.ErrnoException): KeelsonError {
    const what =
      cause.code === 'ECONNREFUSED' ? 'refuses connections' : `broke off (${cause.message})`;
    const message = `The inference server at ${this.endpoint} ${what}.`;
    return new KeelsonError('UNAVAILABLE', message, { cause });
  }
}

function aborted(): KeelsonError {
  return new KeelsonError('ABORTED', 'The caller has gone.');
}
