import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isKeelsonError, KeelsonError, type Platform } from '@keelson/core';
import { createHandler, type HandlerOptions } from './handler.ts';
import { guardConnections } from './http/guard-connections.ts';
import { isFromHere, isLoopback } from './http/loopback.ts';
import { createListeningServer, type TlsOptions } from './http/secure-server.ts';

/** Where to listen, beside how to answer. */
export interface ServerOptions extends Omit<HandlerOptions, 'closing'> {
  /** 5000 when left out; 0 takes a free one. */
  readonly port?: number;
  /** `127.0.0.1` when left out: only this machine. Others take authentication, and `tls` or `behindProxy`. */
  readonly host?: string;
  /** Speaks TLS, 1.3 when nothing else is said; files are read again when they change. */
  readonly tls?: TlsOptions;
  /** Of a body nothing comes for so long: its connection ends. Headers have a third of it. 60,000. */
  readonly slowClientMs?: number;
  /** Connections at a time; more are closed as they come. No limit when left out. */
  readonly maxConnections?: number;
}

/** A platform that answers over HTTP. */
export interface RunningServer extends AsyncDisposable {
  /** Such as `http://127.0.0.1:5000`, `https:` with TLS, with what stands before the paths. */
  readonly url: string;
  readonly port: number;
  /** Reads the files of the certificate now; INVALID, changing nothing, where they do not fit. */
  reloadCertificates(): Promise<void>;
  /**
   * Takes no new connections, says that it is not ready, answers what is under way and ends streams; after `timeoutMs`
   * (30,000 when left out) it breaks off what is left. The platform stays open. Twice is fine.
   */
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
}

/** Longer than the idle time of common load balancers, so that they close first. */
const keepAliveMs = 65_000;
/** How often a server that closes looks for connections that have become idle. */
const idleMs = 50;

/**
 * Serves a platform over HTTP. Without authentication (`auth` here, or `access` of the platform) only this machine may
 * ask, and no page of another site in its browser: FORBIDDEN, saying why, for any other host. CONFLICT when the port is
 * taken; FORBIDDEN too for plain text beyond this machine without a proxy. What runs in the background is begun by `platform.start()`.
 */
export async function startServer(
  platform: Platform,
  options: ServerOptions = {},
): Promise<RunningServer> {
  const {
    port = 5000,
    host = '127.0.0.1',
    slowClientMs = 60_000,
    maxConnections,
    tls,
    ...more
  } = options;
  assertLimits({ slowClientMs, maxConnections: maxConnections ?? 1 });
  const isOpen = more.auth === undefined && !(await hasAccess(platform));
  const { behindProxy } = more;
  if (isOpen && (!isLoopback(host) || behindProxy !== undefined)) throw openToOthers(host);
  if (!isLoopback(host) && tls === undefined && behindProxy === undefined) throw inPlainText(host);
  const closing = new AbortController();
  const { listener } = createHandler(platform, { ...more, closing: closing.signal });
  const { server, reloadCertificates, stop } = await createListeningServer(
    {
      // Uploads take what they take; what stands still is ended by its silence.
      requestTimeout: 0,
      headersTimeout: Math.ceil(slowClientMs / 3),
      connectionsCheckingInterval: Math.min(5_000, Math.ceil(slowClientMs / 6)),
      keepAliveTimeout: keepAliveMs,
    },
    isOpen ? onlyFromHere(listener) : listener,
    { tls, logger: more.logger },
  );
  guardConnections(server, { slowClientMs });
  if (maxConnections !== undefined) server.maxConnections = maxConnections;
  try {
    await listen(server, port, host);
  } catch (error) {
    stop();
    throw error;
  }
  const address = server.address() as AddressInfo;
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  const url = `${tls === undefined ? 'http' : 'https'}://${name}:${address.port}${more.basePath ?? ''}`;
  more.logger?.info({ component: 'server', url }, `Listening at ${url}.`);
  let ended: Promise<void> | undefined;
  const close = ({ timeoutMs = 30_000 }: { readonly timeoutMs?: number } = {}): Promise<void> => {
    closing.abort();
    stop();
    ended ??= drain(server, timeoutMs);
    return ended;
  };
  return {
    ...{ url, port: address.port, reloadCertificates, close },
    [Symbol.asyncDispose]: () => close(),
  };
}

/** Whether the platform knows keys and tokens. */
async function hasAccess(platform: Platform): Promise<boolean> {
  try {
    await platform.authenticate({ bearer: '-' });
    return true;
  } catch (error) {
    return !isKeelsonError(error, 'UNSUPPORTED');
  }
}

function openToOthers(host: string): KeelsonError {
  return new KeelsonError(
    'FORBIDDEN',
    `Nothing here asks who calls, so ${host} is not listened on: whoever reaches it could do everything. Open the platform with { access: true }, or give startServer an auth; 127.0.0.1 needs neither.`,
    { details: { host } },
  );
}

function inPlainText(host: string): KeelsonError {
  return new KeelsonError(
    'FORBIDDEN',
    `Keys and tokens would go over the network in plain text, so ${host} is not listened on: give startServer a certificate (tls: { cert, key }), or say that a proxy which has one stands before it (behindProxy: true).`,
    { details: { host } },
  );
}

/** Refuses what pages of other sites make a browser of this machine send. */
function onlyFromHere(listener: RequestListener): RequestListener {
  return (request, response) => {
    if (isFromHere(request.headers)) {
      listener(request, response);
      return;
    }
    const detail =
      'This server asks nobody who he is, and answers only what is sent to localhost by programs and pages of this machine.';
    const body = JSON.stringify({
      title: 'The caller may not do this',
      status: 403,
      code: 'FORBIDDEN',
      detail,
    });
    response.writeHead(403, { 'content-type': 'application/problem+json', connection: 'close' });
    response.end(body);
    request.resume();
  };
}

function assertLimits(limits: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(limits)) {
    if (Number.isSafeInteger(value) && value > 0 && value < 2 ** 31) continue;
    throw new KeelsonError('INVALID', `Option "${name}" must be an integer from 1, not ${value}.`);
  }
}

async function listen(server: Server, port: number, host: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  try {
    server.listen(port, host, resolve);
    await promise;
  } catch (error) {
    throw listenError(error as NodeJS.ErrnoException, port, host);
  } finally {
    server.off('error', reject);
  }
}

function listenError(cause: NodeJS.ErrnoException, port: number, host: string): KeelsonError {
  const details = { port, host };
  const [code, why] =
    cause.code === 'EADDRINUSE'
      ? ([
          'CONFLICT',
          `Port ${port} on ${host} is taken: stop what listens there, choose another port, or pass 0 for a free one.`,
        ] as const)
      : cause.code === 'EACCES'
        ? ([
            'FORBIDDEN',
            `Port ${port} on ${host} may not be used by this user: choose one from 1024.`,
          ] as const)
        : (['INVALID', `Cannot listen on port ${port} of ${host}: ${cause.message}.`] as const);
  return new KeelsonError(code, why, { cause, details });
}

async function drain(server: Server, timeoutMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // Those that had their head before the end began may be kept alive: they are ended once they are idle.
  const idle = setInterval(() => server.closeIdleConnections(), idleMs);
  const timer = setTimeout(() => server.closeAllConnections(), timeoutMs);
  await closed;
  clearTimeout(timer);
  clearInterval(idle);
}
