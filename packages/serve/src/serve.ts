import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KeelsonError } from '@keelson/core';
import { type DrainableServing, type Serving, startServing } from './hosting/serving.ts';
import { defaultMaxBodyBytes, type ServingOptions } from './hosting/serving-options.ts';
import { guardConnections } from './http/guard-connections.ts';
import { type Servable, sourceOf } from './platform-source.ts';

/** Where to listen, beside how to serve. */
export interface ServeOptions extends ServingOptions {
  /** 0, the default, takes a free one. */
  readonly port?: number;
  /** `127.0.0.1`: only this machine. Serving has no authentication of its own. */
  readonly host?: string;
  /** How long `close` answers on, being not ready, before it stops accepting: time for load balancers to see it; 0. */
  readonly lameDuckMs?: number;
  /**
   * From the first byte of a request to its last, or the connection ends with 408; headers have a third of it. 60,000.
   */
  readonly slowClientMs?: number;
  /** Connections at a time; more are closed as they come. No limit when left out. */
  readonly maxConnections?: number;
}

/** A server that answers for deployments. */
export interface InferenceServer extends Serving {
  /** Such as `http://127.0.0.1:41234`. */
  readonly url: string;
  readonly port: number;
}

/** Longer than the idle time of common load balancers, so that they close first: else requests meet closed connections. */
const keepAliveMs = 65_000;

/**
 * Serves deployments of a platform (or another source) over HTTP. As `openServing`; besides, rejects with CONFLICT when the port is taken and
 * FORBIDDEN when it may not be used. `close` goes in this order: not ready, no new connections, requests under way
 * answered, replicas stopped.
 */
export async function serve(given: Servable, options: ServeOptions): Promise<InferenceServer> {
  const { port = 0, host = '127.0.0.1', lameDuckMs = 0, ...more } = options;
  const { slowClientMs = 60_000, maxConnections, ...serving } = more;
  assertConnectionLimits(slowClientMs, maxConnections);
  const open = await startServing(sourceOf(given), serving);
  const server = createServer(
    {
      requestTimeout: slowClientMs,
      headersTimeout: Math.ceil(slowClientMs / 3),
      connectionsCheckingInterval: Math.min(5000, Math.ceil(slowClientMs / 6)),
      keepAliveTimeout: keepAliveMs,
    },
    open.listener,
  );
  guardConnections(server, { maxBodyBytes: serving.maxBodyBytes ?? defaultMaxBodyBytes });
  if (maxConnections !== undefined) server.maxConnections = maxConnections;
  // Every answer goes out in one piece; waiting for more would only delay it.
  server.on('connection', (socket) => socket.setNoDelay(true));
  try {
    await listen(server, port, host);
  } catch (error) {
    await open.close({ timeoutMs: 0 });
    throw error;
  }
  const address = server.address() as AddressInfo;
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  let closing: Promise<void> | undefined;
  const close = (closeOptions: { readonly timeoutMs?: number } = {}): Promise<void> => {
    closing ??= closeServer(server, open, closeOptions.timeoutMs ?? 30_000, lameDuckMs);
    return closing;
  };
  return {
    url: `http://${name}:${address.port}`,
    port: address.port,
    listener: open.listener,
    router: open.router,
    handle: (request) => open.handle(request),
    fetch: open.fetch,
    status: () => open.status(),
    metrics: () => open.metrics(),
    outcomes: (deployment, windowMs) => open.outcomes(deployment, windowMs),
    refresh: () => open.refresh(),
    settled: (settledOptions) => open.settled(settledOptions),
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

function assertConnectionLimits(slowClientMs: number, maxConnections: number | undefined): void {
  const limits = { slowClientMs, maxConnections: maxConnections ?? 1 };
  for (const [name, value] of Object.entries(limits)) {
    if (Number.isSafeInteger(value) && value > 0 && value < 2 ** 31) continue;
    throw new KeelsonError('INVALID', `Option "${name}" must be an integer from 1, not ${value}.`);
  }
}

async function listen(server: Server, port: number, host: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(port, host, resolve);
  try {
    await promise;
  } catch (error) {
    throw listenError(error as NodeJS.ErrnoException, port, host);
  } finally {
    server.off('error', reject);
  }
}

function listenError(cause: NodeJS.ErrnoException, port: number, host: string): KeelsonError {
  const details = { port, host };
  switch (cause.code) {
    case 'EADDRINUSE':
      return new KeelsonError(
        'CONFLICT',
        `Port ${port} on ${host} is taken: stop what listens there, choose another port, or pass 0 for a free one.`,
        { cause, details },
      );
    case 'EACCES':
      return new KeelsonError(
        'FORBIDDEN',
        `Port ${port} on ${host} may not be used by this user: choose one from 1024.`,
        {
          cause,
          details,
        },
      );
    default:
      return new KeelsonError(
        'INVALID',
        `Cannot listen on port ${port} of ${host}: ${cause.message}.`,
        { cause, details },
      );
  }
}

async function closeServer(
  server: Server,
  open: DrainableServing,
  timeoutMs: number,
  lameDuckMs: number,
): Promise<void> {
  const deadlineAt = performance.now() + timeoutMs;
  open.drain();
  if (lameDuckMs > 0) await new Promise((resolve) => setTimeout(resolve, lameDuckMs));
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // Idle ones only; the others are told to end with their answer.
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), timeoutMs);
  await closed;
  clearTimeout(timer);
  await open.close({ timeoutMs: Math.max(0, deadlineAt - performance.now()) });
}
