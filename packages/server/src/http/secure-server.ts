import { readFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { KeelsonError, type Logger } from '@keelson/core';

/** How a server proves who it is, and whom it lets in. */
export interface TlsOptions {
  /** PEM with the certificate and those between it and its authority; or the path of a file with them. */
  readonly cert: string;
  /** PEM of its key, or the path of a file with it. */
  readonly key: string;
  /** PEM of the authorities of clients' certificates, or the path of a file with them: clients are asked for one. */
  readonly ca?: string;
  /** Whether clients without a certificate of `ca` are refused; true when left out. */
  readonly clientCertificate?: 'required' | 'optional';
  /** `1.3` when left out; `1.2` lets older clients in as well. */
  readonly minVersion?: '1.2' | '1.3';
  /** How often files are looked at for change; 10,000 when left out. */
  readonly reloadMs?: number;
}

/** A server of either kind. */
export interface ListeningServer {
  readonly server: Server | SecureServer;
  /**
   * Reads the files of the certificate again, and uses them for connections from now on; those that are there go on.
   * Rejects with INVALID, changing nothing, where they do not fit together. Nothing without TLS.
   */
  reloadCertificates(): Promise<void>;
  /** Looks at files no more. */
  stop(): void;
}

/** A server of `node:http`, of `node:https` with `tls`. INVALID, naming the option, for what is no certificate or key. */
export async function createListeningServer(
  options: ServerOptions,
  listener: RequestListener,
  { tls, logger }: { readonly tls: TlsOptions | undefined; readonly logger: Logger | undefined },
): Promise<ListeningServer> {
  if (tls === undefined) {
    const server = createServer(options, listener);
    return { server, reloadCertificates: async () => undefined, stop: () => undefined };
  }
  let current = await read(tls);
  const server = createSecureServer(
    {
      ...options,
      ...current,
      requestCert: tls.ca !== undefined,
      rejectUnauthorized: tls.ca !== undefined && tls.clientCertificate !== 'optional',
      ...(options.headersTimeout === undefined ? {} : { handshakeTimeout: options.headersTimeout }),
    },
    listener,
  );
  // Who does not speak TLS is told nothing in plain text.
  server.removeAllListeners('tlsClientError');
  server.on('tlsClientError', (_error, socket) => socket.destroy());

  async function reloadCertificates(): Promise<void> {
    const next = await read(tls as TlsOptions);
    if (next.cert === current.cert && next.key === current.key && next.ca === current.ca) return;
    server.setSecureContext(next);
    current = next;
    logger?.info({ component: 'server' }, 'The certificate is a new one.');
  }

  const timer = setInterval(() => {
    reloadCertificates().catch((error: unknown) => {
      // Certificate and key are seldom written at once: the next look may find both.
      logger?.warn({ component: 'server', error }, 'The certificate was not read anew.');
    });
  }, tls.reloadMs ?? 10_000);
  timer.unref();
  return { server, reloadCertificates, stop: () => clearInterval(timer) };
}

async function read(tls: TlsOptions): Promise<SecureContextOptions> {
  const { cert, key, ca, minVersion = '1.3' } = tls;
  if (minVersion !== '1.2' && minVersion !== '1.3') {
    throw invalid(`tls.minVersion must be "1.3" or "1.2", not ${JSON.stringify(minVersion)}.`);
  }
  const context: SecureContextOptions = {
    cert: await pemOf(cert, 'tls.cert'),
    key: await pemOf(key, 'tls.key'),
    ...(ca === undefined ? {} : { ca: await pemOf(ca, 'tls.ca') }),
    minVersion: `TLSv${minVersion}`,
  };
  try {
    createSecureContext(context);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'it cannot be read';
    throw invalid(`tls.cert and tls.key are no certificate and its key: ${why}.`, cause);
  }
  return context;
}

async function pemOf(given: string, option: string): Promise<string> {
  if (given.includes('-----BEGIN')) return given;
  try {
    return await readFile(given, 'utf8');
  } catch (cause) {
    throw invalid(`${option} is no PEM, and there is no file ${given} that can be read.`, cause);
  }
}

function invalid(message: string, cause?: unknown): KeelsonError {
  return new KeelsonError('INVALID', message, cause === undefined ? {} : { cause });
}
