import { KeelsonError } from '@keelson/core';
import type { EnginePlace } from './engine-place.ts';

const untrusted = new Set([
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/**
 * Why the two ends of a TLS connection do not take each other, with the remedy: asking again would not help.
 * FORBIDDEN where a certificate is refused, INVALID where only one end speaks TLS; undefined for anything else.
 */
export function trustFailure(place: EnginePlace, cause: unknown): KeelsonError | undefined {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  const { name, options } = place;
  const at = `The Docker Engine at ${name}`;
  const fail = (of: 'FORBIDDEN' | 'INVALID', text: string): KeelsonError =>
    new KeelsonError(of, `${at} ${text}`, { cause });
  if (untrusted.has(code)) {
    const by = options.ca === undefined ? 'an authority that this machine knows' : '`tls.ca`';
    return fail(
      'FORBIDDEN',
      `has a certificate that is not signed by ${by} (${message}): \`tls.ca\`, or \`ca.pem\` in \`DOCKER_CERT_PATH\`, is the authority of the engine's certificate.`,
    );
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return fail(
      'FORBIDDEN',
      `has a certificate for other names (${message}): \`host\` must be one of those that it is for.`,
    );
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return fail('FORBIDDEN', `has a certificate that is not valid now (${message}).`);
  }
  if (/SSL alert number|ALERT_/.test(`${code} ${message}`)) {
    const text =
      options.cert === undefined
        ? 'asks for a certificate: `tls.cert` and `tls.key` say who one is'
        : "does not take the certificate of `tls.cert`: it must be signed by the engine's authority, be valid now and be meant for clients";
    return fail('FORBIDDEN', `${text} (${reasonIn(message)}).`);
  }
  if (/wrong version number|packet length too long|WRONG_VERSION_NUMBER/i.test(message)) {
    return fail(
      'INVALID',
      `does not speak TLS at this port: leave out \`tls\` (or \`DOCKER_TLS_VERIFY\`), or name the port that does, usually 2376.`,
    );
  }
  return undefined;
}

/** The words of OpenSSL, without where in it they were said. */
function reasonIn(message: string): string {
  return /error:[^:]*:[^:]*:[^:]*:([^:]*):/.exec(message)?.[1] ?? message;
}

/** As {@link trustFailure}, of what an engine with TLS answers to one who speaks without. */
export function plainFailure(place: EnginePlace, answer: string): KeelsonError | undefined {
  if (place.secure || !/HTTP request to an HTTPS server/i.test(answer)) return undefined;
  return new KeelsonError(
    'INVALID',
    `The Docker Engine at ${place.name} speaks TLS: \`tls\`, or \`DOCKER_TLS_VERIFY\` and \`DOCKER_CERT_PATH\`, gives the certificates for it.`,
  );
}
