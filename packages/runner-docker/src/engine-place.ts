import { readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:http';
import { join } from 'node:path';
import { KeelsonError } from '@keelson/core';

/** Certificates for an engine that is reached over TLS, as PEM. */
export interface EngineTls {
  readonly ca?: string | Uint8Array;
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
}

/** Where an engine answers. */
export interface EnginePlace {
  /** For people. */
  readonly name: string;
  readonly secure: boolean;
  readonly options: RequestOptions & EngineTls;
}

const defaultHost = 'unix:///var/run/docker.sock';

/**
 * What an address as in `DOCKER_HOST` leads to: `unix:///path`, or `tcp://host:port` (2375, and 2376 with TLS).
 * Without one, `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` say, as for Docker's own client.
 * INVALID for another address.
 */
export function enginePlace(
  host: string | undefined,
  tls: EngineTls | undefined,
  env: Readonly<Record<string, string | undefined>> = process.env,
): EnginePlace {
  const name = host ?? (env['DOCKER_HOST'] || defaultHost);
  if (name.startsWith('unix://')) {
    return { name, secure: false, options: { socketPath: name.slice('unix://'.length) } };
  }
  const url = URL.canParse(name) ? new URL(name) : undefined;
  if (url === undefined || !['tcp:', 'http:', 'https:'].includes(url.protocol)) {
    throw new KeelsonError(
      'INVALID',
      `A Docker Engine answers at unix:///path or tcp://host:port, not at ${JSON.stringify(name)}; engines behind ssh:// need a forwarded socket.`,
    );
  }
  const certificates = tls ?? (host === undefined ? tlsOf(env) : undefined);
  const secure = certificates !== undefined || url.protocol === 'https:';
  const port = url.port === '' ? (secure ? 2376 : 2375) : Number(url.port);
  return { name, secure, options: { host: url.hostname, port, ...certificates } };
}

function tlsOf(env: Readonly<Record<string, string | undefined>>): EngineTls | undefined {
  const { DOCKER_TLS_VERIFY: verify, DOCKER_CERT_PATH: dir } = env;
  if (!verify || !dir) return undefined;
  const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map((file) =>
    readFileSync(join(dir, file)),
  ) as [Buffer, Buffer, Buffer];
  return { ca, cert, key };
}
