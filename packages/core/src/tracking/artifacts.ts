import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ByteRange, ByteSource } from '../contracts/artifact-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { draftEvent } from '../events/draft-event.ts';
import { commitChanges } from '../operations/decide-and-commit.ts';
import {
  type ArtifactType,
  artifactTypeOf,
  mimeTypeOf,
  normaliseArtifactPath,
  suffixedPath,
} from './artifact-path.ts';

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

/** How an artifact is logged. */
export interface LogArtifactOptions {
  readonly type?: ArtifactType;
  readonly mimeType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** When the path is taken by other bytes: `model-1.bin` (the default), an error, or the newest wins. */
  readonly onConflict?: 'suffix' | 'error' | 'replace';
  readonly signal?: AbortSignal;
  readonly onProgress?: (bytes: number) => void;
}

/** Writes a run's artifacts. */
export interface ArtifactLog {
  log(
    runId: string,
    path: string,
    source: ByteSource,
    options: LogArtifactOptions,
  ): Promise<Artifact>;
}

/** Reads the artifacts of runs. */
export interface Artifacts {
  /** By path ascending, those below `prefix`; moved ones are left out. */
  listArtifacts(
    runId: string,
    options?: { readonly prefix?: string; readonly limit?: number; readonly cursor?: string },
  ): Promise<{ readonly artifacts: readonly Artifact[]; readonly cursor?: string }>;
  /** NOT_FOUND, naming run and path. */
  getArtifact(runId: string, path: string): Promise<Artifact>;
  /** A stream that verifies what it hands over. */
  openArtifact(runId: string, path: string, range?: ByteRange): Promise<ReadableStream<Uint8Array>>;
  /** All bytes of a small artifact. */
  readArtifact(runId: string, path: string): Promise<Uint8Array>;
  /** Writes the artifact, or all below the path, under `directory`; answers the files written. */
  downloadArtifact(runId: string, path: string, directory: string): Promise<readonly string[]>;
}

const facets = ['metadata'] as const;

/** Artifacts of runs: content goes to the artifact store first, then one record names it. */
export function createArtifacts(
  scope: Scope,
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

  async function findLive(runId: string, path: string): Promise<StoredRecord | undefined> {
    const where = both(equal('runId', runId), equal('livePath', path));
    const { records } = await metadata.query(workspace, 'artifact', { where, limit: 1, facets });
    return records[0];
  }

  async function log(
    runId: string,
    rawPath: string,
    source: ByteSource,
    options: LogArtifactOptions,
  ): Promise<Artifact> {
    const wanted = normaliseArtifactPath(rawPath);
    const { signal, onProgress } = options;
    const content = await scope.artifacts.put(source, {
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
    });
    const mimeType = options.mimeType ?? mimeTypeOf(wanted);
    let path = wanted;
    for (let n = 0; ; ) {
      const existing = await findLive(runId, path);
      if (existing?.columns['sha256'] === content.sha256) return toArtifact(existing);
      if (existing !== undefined && options.onConflict === 'error') {
        throw new KeelsonError(
          'CONFLICT',
          `Run ${runId} already has an artifact ${path} with other content (${existing.columns['sha256']}).`,
          { details: { runId, path } },
        );
      }
      if (existing !== undefined && options.onConflict !== 'replace') {
        n += 1;
        path = suffixedPath(wanted, n);
        continue;
      }
      try {
        const artifact = await write(runId, path, { ...content, mimeType, options }, existing);
        if (n > 0) {
          warn(`Artifact ${wanted} was already there with other content; this one is ${path}.`, { runId });
        }
        return artifact;
      } catch (error) {
        // Another writer took the path, or moved it, in between: look again.
        if (!isKeelsonError(error, 'CONFLICT', 'STALE')) throw error;
      }
    }
  }

  async function write(
    runId: string,
    path: string,
    content: {
      readonly sha256: string;
      readonly sizeBytes: number;
      readonly mimeType: string;
      readonly options: LogArtifactOptions;
    },
    replaced: StoredRecord | undefined,
  ): Promise<Artifact> {
    const id = scope.ids.next();
    const { sha256, sizeBytes, mimeType, options } = content;
    const type = options.type ?? artifactTypeOf(path, mimeType);
    await commitChanges(scope, [
      ...(replaced === undefined
        ? []
        : [
            {
              op: 'replace' as const,
              kind: 'artifact',
              id: replaced.id,
              expect: replaced.revision,
              columns: { livePath: undefined },
            },
          ]),
      {
        op: 'create',
        kind: 'artifact',
        id,
        columns: { runId, path, livePath: path, sha256, sizeBytes, type, mimeType },
        facets: { metadata: options.metadata ?? {} },
      },
      {
        op: 'emit',
        event: draftEvent(scope, {
          type: 'artifact.logged',
          subject: `run:${runId}`,
          source: 'tracking',
          payload: { runId, path, sha256, sizeBytes, artifactType: type },
        }),
      },
    ]);
    const record = await metadata.find(workspace, 'artifact', id, { facets });
    if (record === undefined) throw new KeelsonError('INTERNAL', `Artifact ${id} vanished.`);
    return toArtifact(record);
  }

  async function get(runId: string, path: string): Promise<Artifact> {
    const record = await findLive(runId, normaliseArtifactPath(path));
    if (record !== undefined) return toArtifact(record);
    throw new KeelsonError('NOT_FOUND', `Run ${runId} has no artifact ${JSON.stringify(path)}.`, {
      details: { runId, path },
    });
  }

  async function list(
    runId: string,
    options: { readonly prefix?: string; readonly limit?: number; readonly cursor?: string } = {},
  ): Promise<{ readonly artifacts: readonly Artifact[]; readonly cursor?: string }> {
    const { prefix } = options;
    const below = prefix === undefined ? undefined : normaliseArtifactPath(prefix);
    const live = { op: 'present', left: column('livePath') } as const;
    const all: Predicate = { op: 'and', of: [equal('runId', runId), live] };
    const where: Predicate = below === undefined ? all : { op: 'and', of: [all, under(below)] };
    const page = await metadata.query(workspace, 'artifact', {
      where,
      orderBy: [{ by: column('path'), direction: 'asc' }],
      limit: options.limit ?? 1000,
      facets,
      ...(options.cursor === undefined ? {} : { cursor: options.cursor }),
    });
    const artifacts = page.records.map(toArtifact);
    return page.cursor === undefined ? { artifacts } : { artifacts, cursor: page.cursor };
  }

  return {
    log,
    getArtifact: get,
    listArtifacts: list,
    async openArtifact(runId, path, range) {
      const artifact = await get(runId, path);
      return scope.artifacts.open(artifact.sha256, range);
    },
    async readArtifact(runId, path) {
      const artifact = await get(runId, path);
      return readAll(await scope.artifacts.open(artifact.sha256));
    },
    async downloadArtifact(runId, path, directory) {
      const { artifacts } = await list(runId, { prefix: path });
      if (artifacts.length === 0) await get(runId, path);
      const written: string[] = [];
      for (const artifact of artifacts) {
        const file = join(directory, artifact.path);
        await mkdir(dirname(file), { recursive: true });
        await writeStream(await scope.artifacts.open(artifact.sha256), file);
        written.push(file);
      }
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

async function writeStream(stream: ReadableStream<Uint8Array>, file: string): Promise<void> {
  const handle = await open(file, 'w');
  try {
    for await (const part of stream) await handle.writeFile(part);
  } finally {
    await handle.close();
  }
}

function column(name: string): { readonly from: 'column'; readonly name: string } {
  return { from: 'column', name };
}

function equal(name: string, value: string): Predicate {
  return { op: 'compare', left: column(name), cmp: '=', value };
}

function both(a: Predicate, b: Predicate): Predicate {
  return { op: 'and', of: [a, b] };
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
