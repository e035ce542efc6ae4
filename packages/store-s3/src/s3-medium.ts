import { KeelsonError } from '@keelson/core';
import { CheckedBodies } from './checked-body.ts';
import { S3Keys } from './s3-keys.ts';
import type { S3Options, ServerSideEncryption } from './s3-options.ts';
import { S3Requests } from './s3-requests.ts';
import type { SealingKey } from './sealed-chunk.ts';
import { checkTransport } from './transport.ts';

const mebibyte = 1024 * 1024;

/** What all contents of a store share. */
export interface S3Medium {
  readonly requests: S3Requests;
  readonly keys: S3Keys;
  readonly bodies: CheckedBodies;
  readonly partBytes: number;
  readonly parallelParts: number;
  readonly serverSideEncryption: ServerSideEncryption | undefined;
  /** The key to seal new contents with; undefined where contents are stored as they are. */
  sealingKey(): Promise<SealingKey | undefined>;
  /** The key of that name, for what was sealed before. */
  openingKey(id: string): Promise<SealingKey>;
  /** Multipart uploads of this process that are going on: no leftovers. */
  readonly uploads: Set<string>;
}

/** The medium that those options name; INVALID for parts that no service takes. */
export function mediumOf(options: S3Options): S3Medium {
  const { keys: provider, partBytes = 8 * mebibyte, parallelParts = 3 } = options;
  if (partBytes < 5 * mebibyte || partBytes % mebibyte !== 0) {
    throw new KeelsonError('INVALID', 'partBytes must be whole MiB, 5 at least.');
  }
  checkTransport(options);
  const known = new Map<string, SealingKey>();
  return {
    requests: new S3Requests(options),
    keys: new S3Keys(options.prefix ?? ''),
    bodies: new CheckedBodies(),
    partBytes,
    parallelParts,
    serverSideEncryption: options.serverSideEncryption,
    uploads: new Set(),
    async sealingKey() {
      const key = await provider?.key('encrypt');
      return key === undefined ? undefined : checkKey(key);
    },
    async openingKey(id) {
      const key = known.get(id) ?? (await provider?.key('encrypt', id));
      if (key === undefined) {
        throw new KeelsonError(
          'FORBIDDEN',
          `This content is encrypted with the key ${JSON.stringify(id)}; open the store with the provider of that key ({ keys }).`,
        );
      }
      known.set(id, checkKey(key));
      return key;
    },
  };
}

function checkKey(key: SealingKey): SealingKey {
  if (key.bytes.length === 32) return key;
  throw new KeelsonError(
    'INVALID',
    `The encryption key ${JSON.stringify(key.id)} has ${key.bytes.length} bytes; AES-256 takes 32.`,
  );
}

/** The headers by which the service encrypts what it stores. */
export function encryptionHeaders(encryption: ServerSideEncryption | undefined): {
  readonly ServerSideEncryption?: 'AES256' | 'aws:kms';
  readonly SSEKMSKeyId?: string;
} {
  if (encryption === undefined) return {};
  if (encryption.type === 'AES256') return { ServerSideEncryption: 'AES256' };
  const { keyId } = encryption;
  const kms = { ServerSideEncryption: 'aws:kms' } as const;
  return keyId === undefined ? kms : { ...kms, SSEKMSKeyId: keyId };
}
