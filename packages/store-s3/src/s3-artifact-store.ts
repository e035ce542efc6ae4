import { HeadBucketCommand } from '@aws-sdk/client-s3';
import { type ArtifactSpace, type ArtifactStore, KeelsonError } from '@keelson/core';
import { assertDigest, OngoingWork } from '@keelson/core/content';
import { collectLeftovers, collectOfTheDead } from './leftovers.ts';
import { S3ArtifactSpace } from './s3-artifact-space.ts';
import { contentKey } from './s3-keys.ts';
import { mediumOf, type S3Medium } from './s3-medium.ts';
import type { S3Options } from './s3-options.ts';

/**
 * Content-addressed bytes in a bucket of S3-compatible storage, which any number of processes may use.
 *
 * A content lies at `<prefix>spaces/<workspace>/<sha256>` as it is, so that other programs can read it (at
 * `….sealed` when it was encrypted here); one of more than 1 MiB has its chunk digests beside it
 * (`….chunks`). Uploads in parts become visible as a whole, with their last request.
 */
export class S3ArtifactStore implements ArtifactStore {
  readonly #medium: S3Medium;
  readonly #work = new OngoingWork('The artifact store has been closed.');
  #clearedUp: Promise<void> | undefined;

  private constructor(options: S3Options) {
    this.#medium = mediumOf(options);
  }

  /** Opens a bucket that is there; UNAVAILABLE or FORBIDDEN, with the remedy, when it cannot be used. */
  static async open(options: S3Options): Promise<S3ArtifactStore> {
    const store = new S3ArtifactStore(options);
    try {
      const { requests } = store.#medium;
      await store.#work.run(undefined, (signal) =>
        requests.send(() => new HeadBucketCommand({ Bucket: requests.bucket }), {
          doing: 'opening the bucket',
          key: '',
          signal,
        }),
      );
    } catch (error) {
      await store.close();
      throw noBucket(error, options.bucket);
    }
    return store;
  }

  space(workspace: string): ArtifactSpace {
    const { keys } = this.#medium;
    return new S3ArtifactSpace(this.#medium, keys.space(workspace), this.#work, () =>
      this.#clearUp(),
    );
  }

  async collectLeftovers(olderThanMs: number): Promise<number> {
    if (!(olderThanMs >= 0)) {
      throw new KeelsonError('INVALID', `olderThanMs must be 0 or more, not ${olderThanMs}.`);
    }
    return await this.#work.run(undefined, (signal) =>
      collectLeftovers(this.#medium, olderThanMs, signal),
    );
  }

  uri(workspace: string, sha256: string): string {
    const { keys, requests } = this.#medium;
    return requests.place(contentKey(keys.space(workspace), assertDigest(sha256), 'plain'));
  }

  /** Ends uploads and streams that are still going on with CLOSED, and waits until they have let go. */
  async close(): Promise<void> {
    await this.#work.close();
    await this.#clearedUp;
    this.#medium.requests.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** With the first upload: what processes of this host that died have left, beside it. */
  #clearUp(): void {
    this.#clearedUp ??= this.#work
      .run(undefined, (signal) => collectOfTheDead(this.#medium, signal))
      // The upload itself will say what is wrong with the storage; collectLeftovers tries again.
      .catch(() => undefined);
  }
}

function noBucket(error: unknown, bucket: string): unknown {
  if (!(error instanceof KeelsonError) || error.code !== 'NOT_FOUND') return error;
  return new KeelsonError(
    'UNAVAILABLE',
    `There is no bucket ${bucket}. Create it, or name another one.`,
    { cause: error, details: { bucket } },
  );
}
