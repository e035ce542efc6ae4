import { join } from 'node:path';
import { ReadableStream as WebStream } from 'node:stream/web';
import { checkOptions } from '../check-options.ts';
import { throttled } from '../content/progress.ts';
import type { ByteSource } from '../contracts/artifact-store.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { normaliseArtifactPath } from '../tracking/artifact-path.ts';
import {
  type Artifact,
  type ArtifactLog,
  type Artifacts,
  directoryPath,
  downloadShape,
  logShape,
  readAll,
} from '../tracking/artifacts.ts';
import { downloadFile } from '../tracking/download-file.ts';
import type { Told } from '../tracking/runs-elsewhere.ts';
import type { Link } from './link.ts';
import { openContent } from './remote-content.ts';
import { type Replayable, replayable } from './replayable.ts';

/** Artifacts of runs elsewhere: those of their methods that carry bytes. */
export type RemoteArtifacts = Pick<
  Artifacts,
  'openArtifact' | 'readArtifact' | 'downloadArtifact'
> &
  Pick<ArtifactLog, 'log'>;

/** Artifacts over a link. */
export function createRemoteArtifacts(
  link: Link,
  parts: {
    readonly records: Pick<Artifacts, 'getArtifact' | 'listArtifacts'>;
    /** Where streams wait to be sent. */
    readonly uploadsDir: string;
    warn(message: string, fields: object): void;
  },
): RemoteArtifacts {
  const { records } = parts;

  const log: ArtifactLog['log'] = async (runId, rawPath, source, options) => {
    const path = normaliseArtifactPath(rawPath);
    checkOptions(logShape, options, 'An artifact');
    assertText(options.mimeType ?? '', 'A media type');
    const { metadata, signal, onProgress, ...said } = options;
    await using bytes = await replayable(source as ByteSource, parts.uploadsDir, signal);
    const about =
      metadata === undefined ? undefined : Buffer.from(JSON.stringify(metadata) ?? 'null');
    const answer = await link.call({
      method: 'PUT',
      path: `/remote/runs/${encodeURIComponent(runId)}/artifact`,
      query: { path, ...(said as object), metadataBytes: about?.length },
      mediaType: 'application/octet-stream',
      bytes: () => bodyOf(bytes, about, { signal, onProgress }),
      timeoutMs: uploadMs(bytes.sizeBytes),
      signal,
    });
    const { value, warnings } = answer as unknown as Told<Artifact>;
    for (const { message, fields } of warnings) parts.warn(message, fields);
    if (value.sha256 !== bytes.sha256()) throw otherBytes(value, bytes.sha256());
    return value;
  };

  const open: Artifacts['openArtifact'] = async (runId, path, range) =>
    openOf(await records.getArtifact(runId, path), range);

  function openOf(
    artifact: Artifact,
    range?: { readonly start?: number; readonly end?: number },
    signal?: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    const { runId, path } = artifact;
    const place = path.split('/').map(encodeURIComponent).join('/');
    const address = `/runs/${encodeURIComponent(runId)}/artifacts/${place}`;
    return openContent(link, { method: 'GET', path: address }, artifact, { range, signal });
  }

  async function* below(runId: string, prefix: string): AsyncIterable<Artifact> {
    let cursor: string | undefined;
    do {
      const page = await records.listArtifacts(runId, {
        prefix,
        ...(cursor === undefined ? {} : { cursor }),
      });
      yield* page.artifacts;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  return {
    log,
    openArtifact: open,
    readArtifact: async (runId, path) => readAll(await open(runId, path)),
    async downloadArtifact(runId, path, directory, options = {}) {
      assertText(directory, 'A directory to download to');
      checkOptions(downloadShape, options, 'downloadArtifact');
      const { signal, onProgress } = options;
      const written: string[] = [];
      let before = 0;
      const onBytes = (bytes: number): void =>
        onProgress?.({ files: written.length, bytes: before + bytes });
      for await (const artifact of below(runId, path)) {
        const file = join(directory, normaliseArtifactPath(artifact.path));
        const source = {
          open: (_: string, range?: object, given?: AbortSignal) => openOf(artifact, range, given),
        };
        await downloadFile(source, artifact, file, { signal, onBytes });
        written.push(file);
        before += artifact.sizeBytes;
        onBytes(0);
      }
      if (written.length === 0) await records.getArtifact(runId, directoryPath(path));
      return written;
    },
  };
}

/** Slower lines than 100 kB/s are given up. */
export function uploadMs(sizeBytes: number): number {
  return 60_000 + Math.ceil(sizeBytes / 100);
}

/** What is sent before the bytes, and they, as a body. */
export function bodyOf(
  bytes: Pick<Replayable, 'read'>,
  head: Uint8Array | undefined,
  options: {
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: ((bytes: number) => void) | undefined;
  },
): NonNullable<RequestInit['body']> {
  async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    if (head !== undefined) yield head;
    const tell = throttled(options.onProgress);
    let sent = 0;
    for await (const piece of bytes.read(options.signal)) {
      yield piece;
      sent += piece.length;
      tell(sent);
    }
    options.onProgress?.(sent);
  }
  return WebStream.from(pieces()) as unknown as NonNullable<RequestInit['body']>;
}

function otherBytes({ path, runId, sha256 }: Artifact, sent: string): KeelsonError {
  return new KeelsonError(
    'CORRUPT',
    `Artifact ${path} of run ${runId} arrived as ${sha256}, and was sent as ${sent}: remove it and log it again.`,
    { details: { runId, path, sha256, sent } },
  );
}
