import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import type { RouteOrder, RouteWord, ServeRouteArgument } from './route-child.ts';

/** One process of `route-child.ts`, and what it has said. */
export class RouteServer implements AsyncDisposable {
  /** The routes that came into force there, with when that was seen. */
  readonly inForce: Extract<RouteWord, { readonly inForce: number }>[] = [];
  readonly refusals: string[] = [];
  port = 0;
  readonly #child: ChildProcess;
  #wake = Promise.withResolvers<void>();
  #ordered: Extract<RouteWord, { readonly ordered: unknown }> | undefined;

  /** Resolves when it serves. */
  static async start(argument: ServeRouteArgument): Promise<RouteServer> {
    const server = new RouteServer(argument);
    await server.until('it to serve', () => server.port > 0 && server.inForce.length > 0);
    return server;
  }

  private constructor(argument: ServeRouteArgument) {
    const program = fileURLToPath(new URL('./route-child.ts', import.meta.url));
    this.#child = fork(program, [JSON.stringify(argument)]);
    this.#child.on('message', (word: RouteWord) => this.#hear(word));
    this.#child.once('exit', () => this.#wake.resolve());
  }

  /** Changes the weights there; answers when that was decided. */
  async order(order: RouteOrder): Promise<Extract<RouteWord, { readonly ordered: unknown }>> {
    this.#ordered = undefined;
    this.#child.send(order);
    await this.until('an order to be followed', () => this.#ordered !== undefined);
    return this.#ordered as unknown as Extract<RouteWord, { readonly ordered: unknown }>;
  }

  /** Resolves when a condition holds; it is looked at whenever the process says something. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const late = setTimeout(() => this.#wake.reject(new Error(`Waited 15 s for ${what}.`)), 15_000);
    try {
      while (!holds()) {
        if (this.#child.exitCode !== null)
          throw new Error(`The process ended; waited for ${what}.`);
        await this.#wake.promise;
      }
    } finally {
      clearTimeout(late);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }

  #hear(word: RouteWord): void {
    if ('port' in word) this.port = word.port;
    else if ('refused' in word) this.refusals.push(word.refused);
    else if ('ordered' in word) this.#ordered = word;
    else this.inForce.push(word);
    const { resolve } = this.#wake;
    this.#wake = Promise.withResolvers();
    resolve();
  }
}

interface Answered {
  readonly status: number;
  readonly version: string | undefined;
}

/** One answer to a caller with a key. */
export interface RouteAnswer extends Answered {
  readonly server: RouteServer;
  readonly key: string;
  readonly sentAt: number;
  readonly answeredAt: number;
}

/** Callers of several processes, each asking again as soon as it is answered, until they are stopped. */
export class RouteLoad implements AsyncDisposable {
  readonly answers: RouteAnswer[] = [];
  readonly #callers: readonly Promise<void>[];
  readonly #agent = new Agent({ keepAlive: true });
  #stopped = false;

  constructor(
    servers: readonly RouteServer[],
    callersOfEach: number,
    keys: readonly string[],
    body: string,
  ) {
    this.#callers = servers.flatMap((server) =>
      Array.from({ length: callersOfEach }, (_, i) => this.#run(server, i, keys, body)),
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#callers);
    this.#agent.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #run(
    server: RouteServer,
    caller: number,
    keys: readonly string[],
    body: string,
  ): Promise<void> {
    for (let i = caller; !this.#stopped; i += 1) {
      const key = keys[i % keys.length] as string;
      const sentAt = Date.now();
      const { status, version } = await this.#ask(server.port, key, body);
      this.answers.push({ server, key, status, version, sentAt, answeredAt: Date.now() });
    }
  }

  #ask(port: number, key: string, body: string): Promise<Answered> {
    const { promise, resolve, reject } = Promise.withResolvers<Answered>();
    const to = { port, host: '127.0.0.1', method: 'POST', path: '/v2/models/weather/infer' };
    const sent = request({ ...to, agent: this.#agent, headers: { 'x-user': key } }, (response) => {
      response.resume();
      response.on('error', reject);
      response.on('end', () => {
        const version = response.headers['x-model-version'];
        resolve({ status: response.statusCode ?? 0, version: version?.toString() });
      });
    });
    sent.on('error', reject);
    sent.end(body);
    return promise;
  }
}
