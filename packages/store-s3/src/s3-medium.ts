import type { CheckedBodies } from './checked-body.ts';
import type { S3Keys } from './s3-keys.ts';
import type { ServerSideEncryption } from './s3-options.ts';
import type { S3Requests } from './s3-requests.ts';
import type { SealingKey } from './sealed-chunk.ts';

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
