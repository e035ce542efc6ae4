import { setTimeout as rest } from 'node:timers/promises';
import { S3Client, type S3ClientConfig, type ServiceOutputTypes } from '@aws-sdk/client-s3';
import { fromS3Error, isPassing } from './s3-fault.ts';
import type { S3Options } from './s3-options.ts';
import { verifiesService } from './transport.ts';

const firstRestMs = 100;
const longestRestMs = 5_000;

/** Requests to one bucket: repeated while they fail for a passing reason, told in Keelson's errors. */
export class S3Requests {
  readonly bucket: string;
  readonly attempts: number;
  readonly idleTimeoutMs: number;
  readonly #client: Pick<S3Client, 'send' | 'config'>;
  readonly #own: S3Client | undefined;

  constructor(options: S3Options) {
    this.bucket = options.bucket;
    this.attempts = options.attempts ?? 5;
    this.idleTimeoutMs = options.idleTimeoutMs ?? 30_000;
    this.#own = options.client === undefined ? new S3Client(clientConfig(options)) : undefined;
    this.#client = options.client ?? (this.#own as S3Client);
  }

  /** The client, for what signs URLs. */
  get client(): Pick<S3Client, 'send' | 'config'> {
    return this.#client;
  }

  /** Where a key lies, for people. */
  place(key: string): string {
    return `s3://${this.bucket}/${key}`;
  }

  /**
   * Sends what `make` makes, anew for each attempt. Errors for which `expected` holds are thrown as the
   * service said them, at once; others as KeelsonErrors; the reason of `signal` once that is aborted.
   */
  async send<O extends ServiceOutputTypes>(
    make: () => unknown,
    how: {
      readonly doing: string;
      readonly key: string;
      readonly signal: AbortSignal;
      readonly expected?: (error: unknown) => boolean;
      /** Other than the usual. */
      readonly attempts?: number;
    },
  ): Promise<O> {
    const send = this.#client.send.bind(this.#client) as (
      command: unknown,
      options: { abortSignal: AbortSignal },
    ) => Promise<O>;
    return await this.retry(() => send(make(), { abortSignal: how.signal }), how);
  }

  /** Tries `act` as {@link send} tries requests. */
  async retry<T>(
    act: () => Promise<T>,
    how: {
      readonly doing: string;
      readonly key: string;
      readonly signal: AbortSignal;
      readonly expected?: (error: unknown) => boolean;
      readonly attempts?: number;
    },
  ): Promise<T> {
    const { attempts = this.attempts } = how;
    for (let attempt = 1; ; attempt += 1) {
      how.signal.throwIfAborted();
      try {
        return await act();
      } catch (error) {
        how.signal.throwIfAborted();
        if (how.expected?.(error) === true) throw error;
        if (attempt >= attempts || !isPassing(error)) {
          throw fromS3Error(error, how.doing, this.place(how.key));
        }
      }
      await this.rest(attempt, how.signal);
    }
  }

  /** A pause after that many failed attempts; rejects with the reason of `signal`. */
  async rest(attempts: number, signal: AbortSignal): Promise<void> {
    const longest = Math.min(longestRestMs, firstRestMs * 2 ** attempts);
    try {
      await rest(longest * (0.5 + Math.random() / 2), undefined, { signal });
    } catch (error) {
      // The reason that the signal was given says more than "aborted".
      signal.throwIfAborted();
      throw error;
    }
  }

  /** Ends the connections of a client of ours. */
  close(): void {
    this.#own?.destroy();
  }
}

function clientConfig(options: S3Options): S3ClientConfig {
  const { endpoint, region, credentials, idleTimeoutMs = 30_000 } = options;
  const forcePathStyle = options.forcePathStyle ?? endpoint !== undefined;
  return {
    forcePathStyle,
    // Repeating is done here, where the reason can be told.
    maxAttempts: 1,
    // Each part carries a checksum of ours; trailers are what older services do not understand.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: Math.min(10_000, idleTimeoutMs),
      // Between two bytes, not for the whole of a request: a part may take long on a slow line.
      socketTimeout: idleTimeoutMs,
      httpsAgent: { rejectUnauthorized: verifiesService(options) },
    },
    ...(endpoint === undefined ? {} : { endpoint, region: region ?? 'us-east-1' }),
    ...(region === undefined ? {} : { region }),
    ...(credentials === undefined ? {} : { credentials }),
  };
}
