import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';
import { KeelsonError } from '@keelson/core';
import type { EnginePlace } from './engine-place.ts';
import { plainFailure, trustFailure } from './engine-trust.ts';

/** What the engine refused, in its words. */
export class EngineFault extends Error {
  override readonly name = 'EngineFault';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** One request. */
export interface EngineRequest {
  readonly query?: Readonly<Record<string, string | number | boolean | object | undefined>>;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Not repeated, whatever happens to it. */
  readonly once?: boolean;
}

/** The versions of the API that this client was written against and tested with. */
const oldest = [1, 41] as const;
const newest = [1, 47] as const;

/**
 * The Engine API over a socket: JSON in and out, and streams. Requests that find no engine are repeated for a
 * while, since a daemon that restarts is away for seconds, unless they say that they must not be.
 */
export class EngineApi {
  readonly #place: EnginePlace;
  readonly #agent: Agent;
  readonly #patienceMs: number;
  readonly #closed = new AbortController();
  #prefix: Promise<string> | undefined;

  constructor(place: EnginePlace, options: { readonly patienceMs: number }) {
    this.#place = place;
    this.#patienceMs = options.patienceMs;
    this.#agent = place.secure
      ? new SecureAgent({ keepAlive: true })
      : new Agent({ keepAlive: true });
  }

  /** Where it is, for people. */
  get name(): string {
    return this.#place.name;
  }

  /** The JSON of the answer. EngineFault for what the engine refuses, UNAVAILABLE where none answers. */
  async json<T = unknown>(method: string, path: string, asked: EngineRequest = {}): Promise<T> {
    const response = await this.#send(method, path, asked);
    const text = await textOf(response);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** As {@link json}; undefined where there is no such thing. */
  async found<T>(path: string, asked: EngineRequest = {}): Promise<T | undefined> {
    try {
      return await this.json<T>('GET', path, asked);
    } catch (error) {
      if (isFault(error, 404)) return undefined;
      throw error;
    }
  }

  /** Asks for what may be so already: a refusal for which `isFine` holds is one that says that it is. */
  async ensure(
    method: string,
    path: string,
    isFine: (error: unknown) => boolean,
    asked: EngineRequest = {},
  ): Promise<void> {
    try {
      await this.json(method, path, asked);
    } catch (error) {
      if (!isFine(error)) throw error;
    }
  }

  /** The body of the answer as it comes. */
  stream(method: string, path: string, asked: EngineRequest = {}): Promise<IncomingMessage> {
    return this.#send(method, path, asked);
  }

  /** Ends what is open; requests reject with CLOSED from now on. */
  close(): void {
    this.#closed.abort(new KeelsonError('CLOSED', `The client of ${this.name} has been closed.`));
    this.#agent.destroy();
  }

  async #send(method: string, path: string, asked: EngineRequest): Promise<IncomingMessage> {
    const until = performance.now() + this.#patienceMs;
    const signals = [this.#closed.signal, ...(asked.signal === undefined ? [] : [asked.signal])];
    const signal = AbortSignal.any(signals);
    for (let restMs = 50; ; restMs = Math.min(1000, restMs * 2)) {
      signal.throwIfAborted();
      try {
        const prefix = await this.#version();
        return await this.#once(method, `${prefix}${path}${queryOf(asked.query)}`, asked, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof EngineFault) throw plainFailure(this.#place, error.message) ?? error;
        const refused = trustFailure(this.#place, error);
        if (refused !== undefined) throw refused;
        if (asked.once === true || performance.now() + restMs > until) throw this.#away(error);
      }
      await pause(restMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }

  #away(cause: unknown): KeelsonError {
    const { code, message } = cause as NodeJS.ErrnoException;
    const remedy =
      code === 'EACCES'
        ? 'This process may not use it: its user must be in the group that owns the socket.'
        : 'Is it running? `DOCKER_HOST` or the option `host` says where it is.';
    return new KeelsonError(
      'UNAVAILABLE',
      `The Docker Engine at ${this.name} does not answer: ${message}. ${remedy}`,
      { cause },
    );
  }

  /** The newest version of the API that both speak, as the beginning of a path; asked again where that failed. */
  async #version(): Promise<string> {
    this.#prefix ??= this.#askVersion();
    try {
      return await this.#prefix;
    } catch (error) {
      this.#prefix = undefined;
      throw error;
    }
  }

  #askVersion(): Promise<string> {
    return this.#once('GET', '/version', {}, this.#closed.signal).then(async (response) => {
      const told = JSON.parse(await textOf(response)) as Readonly<Record<string, string>>;
      const most = versionOf(told['ApiVersion']);
      const least = versionOf(told['MinAPIVersion']);
      if (isBefore(most, oldest)) {
        const message = `The Docker Engine at ${this.name} speaks API ${most.join('.')}; ${oldest.join('.')} (Docker 20.10) or later is needed.`;
        throw new EngineFault(400, message);
      }
      const wanted = isBefore(most, newest) ? most : newest;
      return `/v${(isBefore(wanted, least) ? least : wanted).join('.')}`;
    });
  }

  async #once(
    method: string,
    path: string,
    { body, headers }: EngineRequest,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const options: RequestOptions = {
      ...this.#place.options,
      ...{ method, path, signal, agent: this.#agent },
      headers: {
        host: 'docker',
        ...(text === undefined
          ? method === 'POST'
            ? { 'content-length': 0 }
            : {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        ...headers,
      },
    };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const made = (this.#place.secure ? secureRequest : request)(options, resolve);
      made.once('error', reject);
      made.end(text);
    });
    const { statusCode = 0 } = response;
    if (statusCode < 400) return response;
    throw new EngineFault(statusCode, messageOf(await textOf(response)));
  }
}

/** Whether the engine has refused with one of these statuses. */
export function isFault(error: unknown, ...statuses: readonly number[]): error is EngineFault {
  return error instanceof EngineFault && statuses.includes(error.status);
}

async function textOf(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString('utf8');
}

function messageOf(text: string): string {
  try {
    return String((JSON.parse(text) as { message?: unknown }).message ?? text);
  } catch {
    return text.trim();
  }
}

function queryOf(query: EngineRequest['query']): string {
  const parts = Object.entries(query ?? {}).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
    return [`${name}=${encodeURIComponent(text)}`];
  });
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

function versionOf(text = '0.0'): readonly [number, number] {
  const [major = 0, minor = 0] = text.split('.').map(Number);
  return [major, minor];
}

function isBefore(a: readonly [number, number], b: readonly [number, number]): boolean {
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}
