/**
 * Bytes as users have them. `{ path }` names a local file. The memory of a piece that a stream gives is
 * the stream's again once the next piece is asked for.
 */
export type ByteSource =
  | Uint8Array
  | Blob
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>
  | { readonly path: string };

/** What content is known by. */
export interface ContentInfo {
  /** Lower-case hex SHA-256 of the bytes. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** How to store content. */
export interface PutOptions {
  /** CORRUPT, and nothing stored, when the bytes have another digest. */
  readonly sha256?: string;
  readonly signal?: AbortSignal;
  /** Called with the bytes taken so far, at most some times a second. */
  readonly onProgress?: (bytes: number) => void;
}

/** Which bytes of a content to read; the end is excluded. */
export interface ByteRange {
  readonly start?: number;
  readonly end?: number;
}

/** What an address is signed for. */
export interface SignedUrlOptions {
  /** For how long from now: 1 second to 7 days. */
  readonly expiresMs: number;
  /** What browsers save it as. */
  readonly fileName?: string;
  /** The answer's `content-type`. */
  readonly contentType?: string;
}

/**
 * The content-addressed bytes of one workspace. Promises, each with a case in `artifactStoreSuite`:
 *
 * - `put` resolves when the bytes are durable; killed or failed before, nothing of it is visible to
 *   any method. Equal bytes are stored once; putting them again succeeds (and heals content that
 *   `open` or `verify` has found damaged), at the same time too. Memory is bounded whatever the size. It rejects with INVALID for
 *   what is no source of bytes, NOT_FOUND for a missing file, ABORTED by its signal, and FAILED, with
 *   the cause, when the source fails (a KeelsonError of the source passes through).
 * - A stream from `open` verifies what it hands over: content that does not match its digest makes
 *   the stream fail with CORRUPT before the last byte of the damaged part is handed over. A range is
 *   verified too (by a manifest of chunk digests, 1 MiB each).
 * - NOT_FOUND for a digest that is not there, INVALID for one that is no SHA-256, EXHAUSTED when the
 *   medium is full, CLOSED after close; uploads and streams that are going on at the close end with it.
 */
export interface ArtifactSpace {
  put(source: ByteSource, options?: PutOptions): Promise<ContentInfo>;
  /** INVALID for a range outside the content. */
  open(
    sha256: string,
    range?: ByteRange,
    signal?: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>>;
  find(sha256: string): Promise<ContentInfo | undefined>;
  /** Reads all of it; rejects with CORRUPT when it does not match. */
  verify(sha256: string, signal?: AbortSignal): Promise<ContentInfo>;
  /**
   * As if the bytes were put again, without them: answers whether the content is there, and if so
   * protects it as a put does. For whoever is about to refer to content put a while ago.
   */
  keep(sha256: string): Promise<boolean>;
  /**
   * Answers whether there was anything to remove. With `storedBefore`, content that was last put or kept
   * at that time or later stays: a put, or a keep that answered true, is never undone by such a removal,
   * however they race. Times are those of the medium's clock, as in `list`; content may stay that was put
   * within the same step of that clock.
   */
  remove(sha256: string, options?: { readonly storedBefore?: number }): Promise<boolean>;
  /**
   * Everything, by digest ascending, after `after`; content whose put has not finished never shows.
   * `storedAt` is when it was last put or kept.
   */
  list(options?: {
    readonly after?: string;
    readonly prefix?: string;
  }): AsyncIterable<ContentInfo & { readonly storedAt: number }>;
  /**
   * An address by which whoever has it gets the whole content, without us, until it ends. Only where the
   * medium can sign; UNSUPPORTED for content that lies there encrypted by us, INVALID for other times.
   * Who reads by it verifies by the digest.
   */
  signedUrl?(sha256: string, options: SignedUrlOptions): Promise<string>;
}

/** Content-addressed bytes, one space per workspace; nothing is shared across spaces. */
export interface ArtifactStore extends AsyncDisposable {
  /** Any text of 1 to 255 characters, however hostile; throws INVALID for U+0000 and lone surrogates. */
  space(workspace: string): ArtifactSpace;
  /** Removes what broken uploads left behind, older than `olderThanMs`; answers how many. */
  collectLeftovers(olderThanMs: number): Promise<number>;
  /** A local path or URL that names content for people and other programs. */
  uri(workspace: string, sha256: string): string;
  close(): Promise<void>;
}
