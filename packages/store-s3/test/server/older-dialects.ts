import { S3Client } from '@aws-sdk/client-s3';
import type { Faults } from './fault-proxy.ts';
import { credentials } from './gateway.ts';

/** What services of before 2022 know nothing of: checksums but MD5, trailers, writes on a condition. */
const unknownHeader =
  /^(x-amz-(checksum-|sdk-checksum-|trailer$)|if-(none-)?match$|if-(un)?modified-since$)/;

/** A service that refuses what it does not know, in the words that it has for that. */
export function refusing(answer: number, code: string): Faults {
  return ({ headers }) => {
    const isStreamed = String(headers['x-amz-content-sha256'] ?? '').startsWith('STREAMING-');
    const isUnknown = Object.keys(headers).some((name) => unknownHeader.test(name)) || isStreamed;
    return isUnknown ? { answer, code } : undefined;
  };
}

/**
 * A client whose requests arrive as at a service that overlooks what it does not know: without those
 * headers, which takes place before the request is signed.
 */
export function overlooked(endpoint: string): S3Client {
  const client = new S3Client({
    ...{ endpoint, region: 'us-east-1', forcePathStyle: true, credentials },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: 1,
  });
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { readonly headers: Record<string, string> };
      for (const name of Object.keys(headers)) {
        if (unknownHeader.test(name.toLowerCase())) delete headers[name];
      }
      return next(args);
    },
    { step: 'build', priority: 'low', name: 'overlook' },
  );
  return client;
}
