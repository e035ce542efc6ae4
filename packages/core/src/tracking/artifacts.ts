import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import type {
  ByteRange,
  ByteSource,
  ContentInfo,
  SignedUrlOptions,
} from '../contracts/artifact-store.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { draftEvent } from '../events/draft-event.ts';
import { assertText } from '../json.ts';
import { commitChanges } from '../operations/decide-and-commit.ts';
import {
  type ArtifactType,
  artifactTypeOf,
  mimeTypeOf,
  normaliseArtifactPath,
} from './artifact-path.ts';
import { type ArtifactPlace, findLiveArtifact, findPlace } from './artifact-place.ts';
import { downloadFile } from './download-file.ts';
import type { RunRecords } from './run-records.ts';

/** A file that a run has produced; immutable. */
export interface Artifact {
  readonly id: string;
  readonly runId: string;
  readonly path: string;
  readonly uri: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly type: ArtifactType;
  readonly mimeType: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly createdAt: number;
}

/**
 * How an artifact is logged. The same bytes are logged once; logged again with another type, media type or
 * metadata, that is what they are from then on, and what is left out stays.
 */
export interface LogArtifactOptions {
  readonly type?: ArtifactType;
  readonly mimeType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** When the path is taken by other bytes: `model-1.bin` (the default), an error, or the newest wins. */
  readonly onConflict?: 'suffix' | 'error' | 'replace';
  readonly signal?: AbortSignal;
  readonly onProgress?: (bytes: number) => void;
}

/** The shape of {@link LogArtifactOptions}. */
export const logShape: z.ZodObject = z.strictObject({
  type: z.enum(['MODEL', 'DATASET', 'PLOT', 'CONFIG', 'LOG', 'OTHER']).optional(),
  mimeType: z.string().min(1).max(255).optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  onConflict: z.enum(['suffix', 'error', 'replace']).optional(),
  signal: signalOption.optional(),
  onProgress: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof LogArtifactOptions, z.ZodType>);

/** How artifacts are downloaded. */
export interface DownloadArtifactOptions {
  readonly signal?: AbortSignal;
  /** Told of what is on the disk: whole files, and bytes of all, those of an earlier attempt included. */
  readonly onProgress?: (progress: { readonly files: number; readonly bytes: number }) => void;
}

/** The shape of {@link DownloadArtifactOptions}. */
export const downloadShape: z.ZodObject = z.strictObject({
  signal: signalOption.optional(),
  onProgress: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof DownloadArtifactOptions, z.ZodType>);

const signedShape = z.strictObject({
  expiresMs: z.number(),
  fileName: z.string().min(1).max(255).optional(),
  contentType: z.string().min(1).max(255).optional(),
} satisfies Record<keyof SignedUrlOptions, z.ZodType>);

const listShape = z.strictObject({
  prefix: z.string().optional(),
  limit: z.number().optional(),
  cursor: z.string().optional(),
});

/** Writes a run's artifacts. */
export interface ArtifactLog {
  log(
    runId: string,
    path: string,
    source: ByteSource,
    options: LogArtifactOptions,
  ): Promise<Artifact>;
  /** As `listArtifacts`, of a run that is known to exist. */
  listed: Artifacts['listArtifacts'];
}

/** Reads the artifacts of runs. A run that does not exist is NOT_FOUND. */
export interface Artifacts {
  /** By path ascending, those below `prefix`; moved ones are left out. 1,000 when `limit` is left out. */
  listArtifacts(
    runId: string,
    options?: { readonly prefix?: string; readonly limit?: number; readonly cursor?: string },
  ): Promise<{ readonly artifacts: readonly Artifact[]; readonly cursor?: string }>;
  /** NOT_FOUND, naming run and path. */
  getArtifact(runId: string, path: string): Promise<Artifact>;
  /** Where an artifact's bytes lie, for other programs: a `file:` or `s3:` address. NOT_FOUND as above. */
  artifactUri(runId: string, path: string): Promise<string>;
  /**
   * An address that gives the bytes to whoever has it, without us, for `expiresMs` (1 second to 7 days): for
   * browsers and workers elsewhere. UNSUPPORTED where the artifact store cannot sign, as files cannot.
   */
  signedArtifactUrl(runId: string, path: string, options: SignedUrlOptions): Promise<string>;
  /** A stream that verifies what it hands over: it fails with CORRUPT before a damaged part ends. */
  openArtifact(runId: string, path: string, range?: ByteRange): Promise<ReadableStream<Uint8Array>>;
  /** All bytes of a small artifact. CORRUPT when they are not what was logged. */
  readArtifact(runId: string, path: string): Promise<Uint8Array>;
  /**
   * Writes the artifact, or all below the path, under `directory`; answers the files written. Each is
   * there as a whole or not at all; CORRUPT when the content is not what was logged. A download that was
   * broken off goes on where it was, from the `.<sha256>.part` that it left beside the file.
   */
  downloadArtifact(
    runId: string,
    path: string,
    directory: string,
    options?: DownloadArtifactOptions,
  ): Promise<readonly string[]>;
}

type ArtifactPage = Awaited<ReturnType<Artifacts['listArtifacts']>>;

const facets = ['metadata'] as const;
const attempts = 30;
/** So long after its put no collection takes content that nothing refers to; far less than it waits. */
const unguardedMs = 60_000;

/** Artifacts of runs: content goes to the artifact store first, then one record names it. */
export function createArtifacts(
  scope: Scope,
  records: Pick<RunRecords, 'get' | 'loggable' | 'guard'>,
  warn: (message: string, fields: object) => void,
): Artifacts & ArtifactLog {
  const { metadata, workspace } = scope;

  function toArtifact(record: StoredRecord): Artifact {
    const c = record.columns;
    return {
      id: record.id,
      runId: c['runId'] as string,
      path: c['path'] as string,
      uri: scope.artifactUri(c['sha256'] as string),
      sha256: c['sha256'] as string,
      sizeBytes: c['sizeBytes'] as number,
      type: c['type'] as ArtifactType,
      mimeType: c['mimeType'] as string,
      metadata: (record.facets['metadata'] ?? {}) as Record<string, string>,
      createdAt: record.createdAt,
    };
  }

  async function log(
    runId: string,
    rawPath: string,
    source: ByteSource,
    options: LogArtifactOptions,
  ): Promise<Artifact> {
    const path = normaliseArtifactPath(rawPath);
    checkOptions(logShape, options, 'An artifact');
    assertText(options.mimeType ?? '', 'A media type');
    const { signal, onProgress, onConflict = 'suffix' } = options;
    // Looked at before the bytes are: a run that has ended takes none.
    await records.loggable(runId);
    const content = await scope.artifacts.put(source, {
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
    });
    const putAt = performance.now();
    for (let attempt = 1; ; attempt += 1) {
      if (performance.now() - putAt > unguardedMs) await assertKept(runId, path, content);
      const run = await records.loggable(runId);
      const place = await findPlace(scope, { runId, path, sha256: content.sha256, onConflict });
      try {
        if ('found' in place) return await describe(run, place.found, options);
        const artifact = await write(run, place, content, options);
        if (place.path !== path) {
          warn(
            `Artifact ${path} was already there with other content; this one is ${place.path}.`,
            { runId },
          );
        }
        return artifact;
      } catch (error) {
        // Another writer took the path, or moved it, or changed the run in between: look again.
        if (!isKeelsonError(error, 'CONFLICT', 'STALE') || attempt === attempts) throw error;
      }
    }
  }

  /** Content that is there stays; said to be something else, it is logged anew in the place of what it was. */
  async function describe(
    run: StoredRecord,
    there: StoredRecord,
    said: LogArtifactOptions,
  ): Promise<Artifact> {
    const known = toArtifact(there);
    const type = said.type ?? known.type;
    const mimeType = said.mimeType ?? known.mimeType;
    const about = said.metadata ?? known.metadata;
    if (isDeepStrictEqual([type, mimeType, about], [known.type, known.mimeType, known.metadata])) {
      return known;
    }
    const path = there.columns['livePath'] as string;
    return write(run, { path, replaces: there }, known, { type, mimeType, metadata: about });
  }

  /** For a process that slept between content and record: nobody may have collected it meanwhile. */
  async function assertKept(runId: string, path: string, content: ContentInfo): Promise<void> {
    if (await scope.artifacts.keep(content.sha256)) return;
    throw new KeelsonError(
      'FAILED',
      `The content of ${path} was collected as garbage before run ${runId} could refer to it; log it again.`,
      { details: { runId, path, sha256: content.sha256 } },
    );
  }

  async function write(
    run: StoredRecord,
    place: Extract<ArtifactPlace, { path: string }>,
    content: ContentInfo,
    options: LogArtifactOptions,
  ): Promise<Artifact> {
    const { path, replaces } = place;
    const { sha256, sizeBytes } = content;
    const mimeType = options.mimeType ?? mimeTypeOf(path);
    const type = options.type ?? artifactTypeOf(path, mimeType);
    const metadataOf = options.metadata ?? {};
    const id = scope.ids.next();
    const moved: Change[] =
      replaces === undefined
        ? []
        : [
            {
              op: 'replace',
              kind: 'artifact',
              id: replaces.id,
              expect: replaces.revision,
              columns: { livePath: undefined },
            },
          ];
    const { change, reason } = records.guard(run, `artifact ${path}`);
    const changes: Change[] = [
      change,
      ...moved,
      {
        op: 'create',
        kind: 'artifact',
        id,
        columns: { runId: run.id, path, livePath: path, sha256, sizeBytes, type, mimeType },
        facets: { metadata: metadataOf },
      },
      {
        op: 'emit',
        event: draftEvent(scope, {
          type: 'artifact.logged',
          subject: `run:${run.id}`,
          source: 'tracking',
          payload: { runId: run.id, path, sha256, sizeBytes, artifactType: type },
        }),
      },
    ];
    const { at } = await commitChanges(scope, changes, reason);
    const uri = scope.artifactUri(sha256);
    const known = { id, runId: run.id, path, uri, sha256, sizeBytes, type, mimeType };
    return { ...known, metadata: metadataOf, createdAt: at };
  }

  async function get(runId: string, rawPath: string): Promise<Artifact> {
    const path = normaliseArtifactPath(rawPath);
    const record = await findLiveArtifact(scope, assertText(runId, 'A run id'), path);
    if (record !== undefined) return toArtifact(record);
    await records.get(runId);
    throw new KeelsonError('NOT_FOUND', `Run ${runId} has no artifact ${JSON.stringify(path)}.`, {
      details: { runId, path },
    });
  }

  async function list(...of: Parameters<Artifacts['listArtifacts']>): Promise<ArtifactPage> {
    const page = await listed(...of);
    if (page.artifacts.length === 0) await records.get(of[0]);
    return page;
  }

  async function listed(
    runId: string,
    options: { readonly prefix?: string; readonly limit?: number; readonly cursor?: string } = {},
  ): Promise<ArtifactPage> {
    checkOptions(listShape, options, 'listArtifacts');
    const live: Predicate = { op: 'present', left: column('livePath') };
    const of: Predicate[] = [equal('runId', assertText(runId, 'A run id')), live];
    if (options.prefix !== undefined) of.push(under(directoryPath(options.prefix)));
    const page = await metadata.query(workspace, 'artifact', {
      where: { op: 'and', of },
      orderBy: [{ by: column('path'), direction: 'asc' }],
      limit: options.limit ?? 1000,
      facets,
      ...(options.cursor === undefined ? {} : { cursor: options.cursor }),
    });
    const artifacts = page.records.map(toArtifact);
    return page.cursor === undefined ? { artifacts } : { artifacts, cursor: page.cursor };
  }

  async function* below(runId: string, prefix: string): AsyncIterable<Artifact> {
    let cursor: string | undefined;
    do {
      const page = await list(runId, { prefix, ...(cursor === undefined ? {} : { cursor }) });
      yield* page.artifacts;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  return {
    log,
    listed,
    getArtifact: get,
    listArtifacts: list,
    artifactUri: async (runId, path) => (await get(runId, path)).uri,
    async signedArtifactUrl(runId, path, options) {
      checkOptions(signedShape, options, 'signedArtifactUrl');
      const artifact = await get(runId, path);
      const name = artifact.path.split('/').at(-1) ?? artifact.path;
      const { fileName = name, contentType = artifact.mimeType } = options;
      const url = await scope.artifacts.signedUrl?.(artifact.sha256, {
        ...{ expiresMs: options.expiresMs, fileName, contentType },
      });
      if (url !== undefined) return url;
      throw new KeelsonError(
        'UNSUPPORTED',
        'This artifact store signs no addresses; @keelson/store-s3 does. Hand the bytes out by openArtifact().',
      );
    },
    async openArtifact(runId, path, range) {
      const artifact = await get(runId, path);
      return scope.artifacts.open(artifact.sha256, range);
    },
    async readArtifact(runId, path) {
      const artifact = await get(runId, path);
      return readAll(await scope.artifacts.open(artifact.sha256));
    },
    async downloadArtifact(runId, path, directory, options = {}) {
      assertText(directory, 'A directory to download to');
      checkOptions(downloadShape, options, 'downloadArtifact');
      const { signal, onProgress } = options;
      const written: string[] = [];
      let before = 0;
      const onBytes = (bytes: number): void =>
        onProgress?.({ files: written.length, bytes: before + bytes });
      for await (const artifact of below(runId, path)) {
        // A checked path: relative, and without `..`.
        const file = join(directory, artifact.path);
        await downloadFile(scope.artifacts, artifact, file, { signal, onBytes });
        written.push(file);
        before += artifact.sizeBytes;
        onBytes(0);
      }
      if (written.length === 0) await get(runId, directoryPath(path));
      return written;
    },
  };
}

/** All bytes of a stream. */
export async function readAll(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

function column(name: string): { readonly from: 'column'; readonly name: string } {
  return { from: 'column', name };
}

function equal(name: string, value: string): Predicate {
  return { op: 'compare', left: column(name), cmp: '=', value };
}

/** `model/` means `model`. */
export function directoryPath(path: string): string {
  return normaliseArtifactPath(assertText(path, 'An artifact path').replace(/(.)\/$/, '$1'));
}

// The path itself, or anything in it as a directory: `0` is the character behind `/`.
function under(path: string): Predicate {
  const inside: Predicate = {
    op: 'and',
    of: [
      { op: 'compare', left: column('path'), cmp: '>', value: `${path}/` },
      { op: 'compare', left: column('path'), cmp: '<', value: `${path}0` },
    ],
  };
  return { op: 'or', of: [equal('path', path), inside] };
}
