import { GetObjectCommand, type GetObjectCommandInput, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import {
  type ArtifactSpace,
  type ByteRange,
  type ByteSource,
  type ContentInfo,
  KeelsonError,
  type PutOptions,
  type SignedUrlOptions,
} from '@keelson/core';
import { assertDigest, type OngoingWork, verifiedStream } from '@keelson/core/content';
import { keepContent } from './content-keep.ts';
import { putContent } from './content-put.ts';
import {
  giveBack,
  openContent,
  type ReadContent,
  readFault,
  readVerified,
} from './content-read.ts';
import { type ContentState, listStates, stateOf, storedAt } from './content-state.ts';
import { removeContent } from './removal.ts';
import { contentKey } from './s3-keys.ts';
import type { S3Medium } from './s3-medium.ts';
import { plainSize } from './sealed-chunk.ts';

/** The contents of one workspace in a bucket; see S3ArtifactStore. */
export class S3ArtifactSpace implements ArtifactSpace {
  readonly #medium: S3Medium;
  readonly #space: string;
  readonly #work: OngoingWork;
  /** Called before the first upload. */
  readonly #beforePut: () => void;

  constructor(medium: S3Medium, space: string, work: OngoingWork, beforePut: () => void) {
    this.#medium = medium;
    this.#space = space;
    this.#work = work;
    this.#beforePut = beforePut;
  }

  async put(source: ByteSource, options: PutOptions = {}): Promise<ContentInfo> {
    if (options.sha256 !== undefined) assertDigest(options.sha256, 'The expected digest');
    return await this.#work.run(options.signal, (signal) => {
      this.#beforePut();
      return putContent(this.#medium, this.#space, source, options, signal);
    });
  }

  async open(
    sha256: string,
    range: ByteRange = {},
    signal?: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    assertDigest(sha256);
    const { promise, resolve } = Promise.withResolvers<void>();
    const own = this.#work.begin(signal, promise);
    const letGo = (): void => {
      own.end();
      resolve();
    };
    try {
      own.signal.throwIfAborted();
      return await this.#stream(sha256, range, own.signal, letGo);
    } catch (error) {
      letGo();
      throw error;
    }
  }

  async find(sha256: string): Promise<ContentInfo | undefined> {
    assertDigest(sha256);
    return await this.#work.run(undefined, (signal) => this.#info(sha256, signal));
  }

  async verify(sha256: string, signal?: AbortSignal): Promise<ContentInfo> {
    assertDigest(sha256);
    return await this.#work.run(signal, async (own) => await this.#readThrough(sha256, own));
  }

  async keep(sha256: string): Promise<boolean> {
    assertDigest(sha256);
    return await this.#work.run(undefined, (signal) =>
      keepContent(this.#medium, this.#space, sha256, signal),
    );
  }

  async remove(sha256: string, options: { readonly storedBefore?: number } = {}): Promise<boolean> {
    assertDigest(sha256);
    return await this.#work.run(undefined, (signal) =>
      removeContent(this.#medium, this.#space, sha256, { ...options, signal }),
    );
  }

  async *list(
    options: { readonly after?: string; readonly prefix?: string } = {},
  ): AsyncGenerator<ContentInfo & { readonly storedAt: number }, void, undefined> {
    const { after, prefix = '' } = options;
    if (after !== undefined) assertDigest(after, 'after');
    if (!/^[0-9a-f]{0,64}$/.test(prefix)) {
      throw new KeelsonError('INVALID', 'prefix must be the first hex digits of a digest.');
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const own = this.#work.begin(undefined, promise);
    try {
      own.signal.throwIfAborted();
      const states = listStates(this.#medium.requests, this.#space, options, own.signal);
      for await (const state of states) {
        own.signal.throwIfAborted();
        const sizeBytes = sizeOf(state);
        if (sizeBytes === undefined) continue;
        yield { sha256: state.sha256, sizeBytes, storedAt: storedAt(state) };
      }
    } finally {
      own.end();
      resolve();
    }
  }

  async signedUrl(sha256: string, options: SignedUrlOptions): Promise<string> {
    assertDigest(sha256);
    const headers = answerHeaders(options);
    const expiresIn = Math.floor(options.expiresMs / 1000);
    if (!(expiresIn >= 1 && expiresIn <= 604_800)) {
      throw new KeelsonError('INVALID', 'expiresMs must be from 1 second to 7 days.');
    }
    return await this.#work.run(undefined, async (signal) => {
      const { requests } = this.#medium;
      const { objects } = await stateOf(requests, this.#space, sha256, signal);
      if (objects.plain === undefined && objects.sealed !== undefined) {
        throw new KeelsonError(
          'UNSUPPORTED',
          `Content ${sha256} is encrypted with a key of this process; hand it over through openArtifact.`,
        );
      }
      if (objects.plain === undefined) throw missing(sha256);
      const Key = contentKey(this.#space, sha256, 'plain');
      const command = new GetObjectCommand({ Bucket: requests.bucket, Key, ...headers });
      return await getSignedUrl(requests.client as S3Client, command, { expiresIn });
    });
  }

  async #stream(
    sha256: string,
    range: ByteRange,
    signal: AbortSignal,
    letGo: () => void,
  ): Promise<ReadableStream<Uint8Array>> {
    assertWhole(sha256, range);
    const content = await openContent(this.#medium, this.#space, sha256, range, signal);
    if (content === undefined) throw missing(sha256);
    const sizeBytes =
      content === 'out of range'
        ? ((await this.#info(sha256, signal))?.sizeBytes ?? 0)
        : content.sizeBytes;
    const { start = 0, end = sizeBytes } = range;
    if (start > end || end > sizeBytes || content === 'out of range') {
      if (content !== 'out of range') content.body.close();
      // A content that was cut short would refuse ranges that are right.
      await this.#readThrough(sha256, signal);
      if (start > end || end > sizeBytes) throw noRange(sha256, sizeBytes, range);
      letGo();
      return new Blob([]).stream();
    }
    const place = this.#medium.requests.place(contentKey(this.#space, sha256, content.role));
    return verifiedStream(readVerified(content, start, end, signal), {
      signal,
      close: async () => letGo(),
      giveBack: (piece) => giveBack(content, piece),
      fault: (error) => readFault(error, place),
    });
  }

  async #readThrough(sha256: string, signal: AbortSignal): Promise<ContentInfo> {
    const content = await this.#openWhole(sha256, signal);
    const { sizeBytes } = content;
    const pieces = readVerified(content, 0, sizeBytes, signal);
    for await (const piece of pieces) giveBack(content, piece);
    return { sha256, sizeBytes };
  }

  async #openWhole(sha256: string, signal: AbortSignal): Promise<ReadContent> {
    const content = await openContent(this.#medium, this.#space, sha256, {}, signal);
    if (content === undefined || content === 'out of range') throw missing(sha256);
    return content;
  }

  async #info(sha256: string, signal: AbortSignal): Promise<ContentInfo | undefined> {
    const state = await stateOf(this.#medium.requests, this.#space, sha256, signal);
    const sizeBytes = sizeOf(state);
    return sizeBytes === undefined ? undefined : { sha256, sizeBytes };
  }
}

function sizeOf({ objects: { plain, sealed } }: ContentState): number | undefined {
  return sealed === undefined ? plain?.sizeBytes : plainSize(sealed.sizeBytes);
}

function missing(sha256: string): KeelsonError {
  return new KeelsonError('NOT_FOUND', `There is no content ${sha256} in this workspace.`, {
    details: { sha256 },
  });
}

function assertWhole(sha256: string, { start = 0, end = start }: ByteRange): void {
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end >= 0) return;
  throw noRange(sha256, undefined, { start, end });
}

function noRange(sha256: string, sizeBytes: number | undefined, range: ByteRange): KeelsonError {
  const size = sizeBytes === undefined ? '' : ` has ${sizeBytes} bytes;`;
  return new KeelsonError(
    'INVALID',
    `Content ${sha256}${size} ${range.start ?? 0} to ${range.end ?? 'its end'} is no range of it.`,
    { details: { sha256, sizeBytes, ...range } },
  );
}

/** What the answer to a signed address says of itself; a name is kept from ending its header. */
function answerHeaders({
  fileName,
  contentType,
}: SignedUrlOptions): Pick<
  GetObjectCommandInput,
  'ResponseContentDisposition' | 'ResponseContentType'
> {
  const hasControls = [fileName, contentType].some((text) => text && /\p{Cc}/u.test(text));
  if (hasControls || (contentType !== undefined && !/^[\x20-\x7e]{1,255}$/.test(contentType))) {
    throw new KeelsonError(
      'INVALID',
      'fileName and contentType must be printable, contentType in ASCII.',
    );
  }
  const plain = fileName?.replace(/[^\x20-\x7e]|["\\]/g, '_');
  const encoded = fileName === undefined ? '' : encodeURIComponent(fileName.toWellFormed());
  return {
    ...(fileName === undefined
      ? {}
      : {
          // RFC 6266: the plain name for those who know no other.
          ResponseContentDisposition: `attachment; filename="${plain}"; filename*=UTF-8''${encoded.replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)}`,
        }),
    ...(contentType === undefined ? {} : { ResponseContentType: contentType }),
  };
}
