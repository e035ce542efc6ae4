import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:http';
import { isIP } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
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
  readonly options: RequestOptions & EngineTls & { readonly servername?: string };
}

const defaultHost = 'unix:///var/run/docker.sock';

/**
 * What an address as in `DOCKER_HOST` leads to: `unix:///path`, or `tcp://host:port` (2375, and 2376 with TLS).
 * Without one, `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` say, as for Docker's own client.
 * INVALID for another address, and for certificates that are none.
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
  const address = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (!secure) return { name, secure, options: { host: address, port } };
  assertCertificates(certificates);
  // What the certificate is for is the host, whatever the requests call it; addresses are no names.
  const servername = isIP(address) === 0 ? address : '';
  return { name, secure, options: { host: address, port, servername, ...certificates } };
}

function assertCertificates(certificates: EngineTls = {}): void {
  try {
    createSecureContext({ ...certificates } as SecureContextOptions);
    // Which takes anything for the certificates of authorities.
    if (certificates.ca !== undefined) new X509Certificate(certificates.ca);
  } catch (cause) {
    throw new KeelsonError(
      'INVALID',
      `The certificates for the Docker Engine cannot be used: ${(cause as Error).message}. \`tls\` has \`ca\`, \`cert\` and \`key\` as PEM, the key without a passphrase.`,
      { cause },
    );
  }
}

function tlsOf(env: Readonly<Record<string, string | undefined>>): EngineTls | undefined {
  const { DOCKER_TLS_VERIFY: verify, DOCKER_CERT_PATH: path } = env;
  if (!verify) return undefined;
  const dir = path || join(homedir(), '.docker');
  const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map((file) => {
    try {
      return readFileSync(join(dir, file));
    } catch (cause) {
      throw new KeelsonError(
        'INVALID',
        `\`DOCKER_TLS_VERIFY\` is set, but ${join(dir, file)} cannot be read: ${(cause as Error).message}. \`DOCKER_CERT_PATH\` is the directory with ca.pem, cert.pem and key.pem.`,
        { cause },
      );
    }
  }) as [Buffer, Buffer, Buffer];
  return { ca, cert, key };
}
