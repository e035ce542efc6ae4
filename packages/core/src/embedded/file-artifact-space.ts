import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { openByteReader } from '../content/byte-reader.ts';
import { assertDigest, isDigest } from '../content/digest.ts';
import { fromFileError, isMissing } from '../content/file-fault.ts';
import type { OngoingWork } from '../content/ongoing-work.ts';
import { verifiedStream } from '../content/verified-stream.ts';
import type {
  ArtifactSpace,
  ByteRange,
  ByteSource,
  ContentInfo,
  PutOptions,
} from '../contracts/artifact-store.ts';
import { KeelsonError } from '../errors.ts';
import { type ArtifactLayout, contentPath } from './artifact-layout.ts';
import { giveBack, type OpenContent, openContent, readVerified } from './content-reader.ts';
import { awaitRemoval, keepContent, removeContent } from './content-removal.ts';
import { writeContent } from './content-writer.ts';
import type { DurableDirectories } from './durable-file.ts';

/** What a space shares with its store. */
export interface FileArtifactSpaceParts {
  readonly layout: ArtifactLayout;
  readonly directories: DurableDirectories;
  /** The directory of the workspace. */
  readonly space: string;
  readonly work: OngoingWork;
}

// Chunks of 1 MiB that all uploads together may have on their way; each may always have one.
const chunksInFlight = 16;
const chunksPerUpload = 4;

/** The contents of one workspace in an artifact directory; see FileArtifactStore. */
export class FileArtifactSpace implements ArtifactSpace {
  readonly #parts: FileArtifactSpaceParts;

  constructor(parts: FileArtifactSpaceParts) {
    this.#parts = parts;
  }

  async put(source: ByteSource, options: PutOptions = {}): Promise<ContentInfo> {
    const { layout, directories, space, work } = this.#parts;
    if (options.sha256 !== undefined) assertDigest(options.sha256, 'The expected digest');
    return await work.run(options.signal, async (signal) => {
      const reader = await openByteReader(source, signal);
      try {
        return await writeContent({
          layout,
          directories,
          space,
          reader,
          sha256: options.sha256,
          signal,
          onProgress: options.onProgress,
          depth: Math.max(1, Math.min(chunksPerUpload, Math.floor(chunksInFlight / work.size))),
        });
      } catch (error) {
        throw fromFileError(error, 'storing an artifact', dirname(layout.incoming));
      } finally {
        await reader.close();
      }
    });
  }

  async open(
    sha256: string,
    range: ByteRange = {},
    signal?: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    assertDigest(sha256);
    const { promise, resolve } = Promise.withResolvers<void>();
    const own = this.#parts.work.begin(signal, promise);
    const letGo = (): void => {
      own.end();
      resolve();
    };
    try {
      own.signal.throwIfAborted();
      const content = await this.#openContent(sha256, own.signal);
      try {
        const [start, end] = await checkRange(content, range, own.signal);
        const chunks = readVerified(content, start, end, own.signal);
        const close = async (): Promise<void> => {
          try {
            await content.handle.close();
          } finally {
            letGo();
          }
        };
        return verifiedStream(chunks, {
          signal: own.signal,
          close,
          giveBack: (piece) => giveBack(content, piece),
          fault: (error) => fromFileError(error, 'reading an artifact', content.path),
        });
      } catch (error) {
        await content.handle.close();
        throw error;
      }
    } catch (error) {
      letGo();
      throw error;
    }
  }

  async find(sha256: string): Promise<ContentInfo | undefined> {
    assertDigest(sha256);
    return await this.#parts.work.run(undefined, async () => {
      const { layout, space } = this.#parts;
      let entry = await this.#stat(sha256);
      if (entry === undefined && (await awaitRemoval(layout, space, sha256))) {
        entry = await this.#stat(sha256);
      }
      return entry && { sha256, sizeBytes: entry.sizeBytes };
    });
  }

  async verify(sha256: string, signal?: AbortSignal): Promise<ContentInfo> {
    assertDigest(sha256);
    return await this.#parts.work.run(signal, async (own) => {
      const content = await this.#openContent(sha256, own);
      try {
        const { sizeBytes } = content.manifest;
        await readThrough(content, own);
        return { sha256, sizeBytes };
      } catch (error) {
        throw fromFileError(error, 'verifying an artifact', content.path);
      } finally {
        await content.handle.close();
      }
    });
  }

  async keep(sha256: string): Promise<boolean> {
    assertDigest(sha256);
    const { layout, space, work } = this.#parts;
    return await work.run(undefined, async () => {
      try {
        return await keepContent(layout, space, sha256);
      } catch (error) {
        throw fromFileError(error, 'keeping an artifact', contentPath(space, sha256));
      }
    });
  }

  async remove(sha256: string, options: { readonly storedBefore?: number } = {}): Promise<boolean> {
    assertDigest(sha256);
    const { layout, space, work } = this.#parts;
    return await work.run(undefined, async () => {
      try {
        return await removeContent(layout, space, sha256, options.storedBefore);
      } catch (error) {
        throw fromFileError(error, 'removing an artifact', contentPath(space, sha256));
      }
    });
  }

  async *list(
    options: { readonly after?: string; readonly prefix?: string } = {},
  ): AsyncGenerator<ContentInfo & { readonly storedAt: number }, void, undefined> {
    const { after, prefix = '' } = options;
    if (after !== undefined) assertDigest(after, 'after');
    if (!/^[0-9a-f]{0,64}$/.test(prefix)) {
      throw new KeelsonError('INVALID', 'prefix must be the first hex digits of a digest.');
    }
    const { work, space } = this.#parts;
    const shards = await work.run(undefined, () => names(space));
    for (const shard of shards) {
      if (!shard.startsWith(prefix.slice(0, 2)) || shard < (after ?? '').slice(0, 2)) continue;
      const digests = await work.run(undefined, () => names(join(space, shard)));
      for (const sha256 of digests) {
        if (!isDigest(sha256) || !sha256.startsWith(prefix)) continue;
        if (after !== undefined && sha256 <= after) continue;
        const entry = await work.run(undefined, () => this.#stat(sha256));
        if (entry !== undefined) yield entry;
      }
    }
  }

  async #openContent(sha256: string, signal: AbortSignal): Promise<OpenContent> {
    const { layout, space } = this.#parts;
    let content: OpenContent | undefined;
    try {
      content = await openContent(layout, space, sha256, signal);
      if (content === undefined && (await awaitRemoval(layout, space, sha256))) {
        content = await openContent(layout, space, sha256, signal);
      }
    } catch (error) {
      throw fromFileError(error, 'opening an artifact', contentPath(space, sha256));
    }
    if (content !== undefined) return content;
    throw new KeelsonError('NOT_FOUND', `There is no content ${sha256} in this workspace.`, {
      details: { sha256 },
    });
  }

  async #stat(sha256: string): Promise<(ContentInfo & { readonly storedAt: number }) | undefined> {
    const path = contentPath(this.#parts.space, sha256);
    try {
      const { size, mtimeMs } = await stat(path);
      return { sha256, sizeBytes: size, storedAt: Math.floor(mtimeMs) };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw fromFileError(error, 'looking for an artifact', path);
    }
  }
}

async function names(directory: string): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).toSorted();
  } catch (error) {
    if (isMissing(error)) return [];
    throw fromFileError(error, 'listing artifacts', directory);
  }
}

async function readThrough(content: OpenContent, signal: AbortSignal): Promise<void> {
  const chunks = readVerified(content, 0, content.manifest.sizeBytes, signal);
  for await (const piece of chunks) giveBack(content, piece);
}

async function checkRange(
  content: OpenContent,
  range: ByteRange,
  signal: AbortSignal,
): Promise<readonly [number, number]> {
  const { sizeBytes, sha256 } = content.manifest;
  const { start = 0, end = sizeBytes } = range;
  const whole = Number.isSafeInteger(start) && Number.isSafeInteger(end);
  if (whole && start >= 0 && start <= end && end <= sizeBytes) return [start, end];
  // A content that was cut short would refuse ranges that are right.
  await readThrough(content, signal);
  throw new KeelsonError(
    'INVALID',
    `Content ${sha256} has ${sizeBytes} bytes; ${start} to ${end} is no range of it.`,
    { details: { sha256, sizeBytes, start, end } },
  );
}
