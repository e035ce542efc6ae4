import { KeelsonError } from '@keelson/core';
import type { S3Options } from './s3-options.ts';

type Transport = Pick<S3Options, 'endpoint' | 'insecure'>;

/** Refuses, as INVALID, an endpoint beyond this machine over which contents would go in plain text, unless `insecure`. */
export function checkTransport({ endpoint, insecure = false }: Transport): void {
  if (endpoint === undefined || insecure || isHere(endpoint)) return;
  if (!/^http:/i.test(endpoint)) return;
  const { host } = new URL(endpoint);
  throw new KeelsonError(
    'INVALID',
    `s3Backend does not connect to ${host}: contents would go in plain text. Use an endpoint that begins with https:, or say it a second time: s3Backend({ endpoint, insecure: true }).`,
    { details: { host } },
  );
}

/** Whether the service must prove who it is: always, but where that was switched off twice, or here. */
export function verifiesService(
  { endpoint = '', insecure = false }: Transport,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): boolean {
  const isOff = environment['NODE_TLS_REJECT_UNAUTHORIZED'] === '0';
  return !(isOff && (insecure || isHere(endpoint)));
}

/** Whether a URL leads to this machine. */
function isHere(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const bare = new URL(url).hostname.replace(/^\[|\]$/g, '').toLowerCase();
  return bare === 'localhost' || bare === '::1' || /^127\./.test(bare);
}
