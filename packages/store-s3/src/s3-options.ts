import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import type { KeyProvider } from '@keelson/core';

/** Encryption of stored objects by the service itself. */
export type ServerSideEncryption =
  | { readonly type: 'AES256' }
  | { readonly type: 'aws:kms'; readonly keyId?: string };

/** Where contents lie, and how they get there. */
export interface S3Options {
  readonly bucket: string;
  /** In front of every key, such as `keelson/`; nothing when left out. */
  readonly prefix?: string;
  /** A client of yours: borrowed, with its own credentials, retries and timeouts; never destroyed here. */
  readonly client?: Pick<S3Client, 'send' | 'config'>;
  /** For a client of ours; as the SDK finds it in the environment when left out. */
  readonly region?: string;
  /** Of an S3-compatible service, such as `http://127.0.0.1:9000`; buckets are then in the path. */
  readonly endpoint?: string;
  /**
   * Allows an endpoint beyond this machine that is not encrypted (`http:`), and, where NODE_TLS_REJECT_UNAUTHORIZED=0 is
   * set as well, one that proves nothing. False when left out: such an endpoint is INVALID.
   */
  readonly insecure?: boolean;
  /** As the SDK finds them when left out; a function is asked again before they expire. */
  readonly credentials?: S3ClientConfig['credentials'];
  readonly forcePathStyle?: boolean;
  /** 8 MiB when left out, 5 MiB at least; parts of very large contents grow with their number. */
  readonly partBytes?: number;
  /** How many parts of one content are on their way at once; 3 when left out: with that the memory of an upload stays within 64 MiB. */
  readonly parallelParts?: number;
  readonly serverSideEncryption?: ServerSideEncryption;
  /**
   * Encrypts contents with AES-256-GCM before they leave the process, with the current `encrypt` key of the
   * provider; each object names its key, so that keys can change. Digests, sizes and names stay readable.
   */
  readonly keys?: KeyProvider;
  /** A connection that gives nothing for this long is cut and the request repeated; 30,000 when left out. */
  readonly idleTimeoutMs?: number;
  /** How often a request that failed for a passing reason is tried; 5 when left out. */
  readonly attempts?: number;
}
