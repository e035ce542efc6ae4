import { createHash } from 'node:crypto';
import type { ByteSource } from '../contracts/artifact-store.ts';
import type { DownloadCache } from '../contracts/download-cache.ts';
import { KeelsonError } from '../errors.ts';
import { encodeJson } from '../json.ts';
import { type DownloadSource, downloadsFrom } from '../registry/downloads.ts';
import { checkedSources, type Source, sourcesOf } from '../registry/gather-files.ts';
import { readWatched } from '../registry/local-tree.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import { assertRegisterOptions, type RegisterOptions } from '../registry/register-options.ts';
import type { Registry } from '../registry/registry.ts';
import type { Tracking } from '../tracking/tracking.ts';
import type { Link } from './link.ts';
import { bodyOf, uploadMs } from './remote-artifacts.ts';
import { openContent } from './remote-content.ts';
import { createRemoteService } from './remote-service.ts';
import { type Replayable, replayable } from './replayable.ts';

/** The registry over a link. */
export function createRemoteRegistry(
  link: Link,
  parts: {
    readonly tracking: Tracking;
    readonly downloads: DownloadCache;
    /** Where streams wait to be sent. */
    readonly uploadsDir: string;
  },
): Registry {
  const registry = createRemoteService<Registry>(link, 'registry');

  async function register(options: RegisterOptions): Promise<ModelVersion> {
    assertRegisterOptions(options);
    const { from, signal, onProgress, ...rest } = options;
    const { sources, confirm } = await sourcesOf(parts.tracking, from);
    if ('runId' in from) {
      const { model, ...facts } = rest;
      const path = `/models/${encodeURIComponent(model)}/versions`;
      const json = { ...facts, runId: from.runId, path: from.path };
      const answer = await link.call({ method: 'POST', path, json, signal });
      return answer as unknown as ModelVersion;
    }
    await using stack = new AsyncDisposableStack();
    const files: { readonly path: string; readonly bytes: Replayable; readonly sha256: string }[] =
      [];
    for (const { path, from: source } of asReadThere(checkedSources(sources))) {
      const bytes = stack.use(await replayableOf(path, source, parts.uploadsDir, signal));
      for await (const piece of bytes.read(signal)) void piece;
      files.push({ path, bytes, sha256: bytes.sha256() });
    }
    // Read anew when they are sent, and then watched as well.
    await confirm();
    const named = files.map(({ path, bytes, sha256 }) => {
      return { path, sizeBytes: bytes.sizeBytes, sha256 };
    });
    const head = Buffer.from(encodeJson({ options: rest, files: named }, 'register'));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(head.length);
    const sizeBytes = files.reduce((sum, { bytes }) => sum + bytes.sizeBytes, 0);
    const answer = await link.call({
      method: 'POST',
      path: '/remote/versions',
      mediaType: 'application/octet-stream',
      bytes: () => {
        const all = { read: (given?: AbortSignal) => readAll(files, given) };
        const tell = (bytes: number): void => onProgress?.({ files: files.length, bytes });
        return bodyOf(all, Buffer.concat([length, head]), { signal, onProgress: tell });
      },
      timeoutMs: uploadMs(sizeBytes),
      signal,
    });
    return answer as unknown as ModelVersion;
  }

  const source: DownloadSource = {
    version: (name) =>
      name.includes('@') ? registry.resolve(name) : registry.getVersionById(name),
    async assertSigned(version, trusted) {
      const given = trusted === undefined ? {} : { trusted };
      const signatures = await registry.verifySignatures(version.id, given);
      if (signatures.some(({ valid, trusted: isTrusted }) => valid && isTrusted)) return;
      throw new KeelsonError(
        'FORBIDDEN',
        `Version ${version.version} of ${version.model} is not signed by a trusted key; registry.sign('${version.id}') signs it.`,
        { details: { versionId: version.id } },
      );
    },
    open(version, file, range, signal) {
      const model = encodeURIComponent(version.model);
      const path = `/models/${model}/versions/${encodeURIComponent(version.version)}/artifact`;
      const call = { method: 'GET', path, query: { path: file.path } } as const;
      return openContent(link, call, file, { range, signal });
    },
    async damage(version, file) {
      const { problems } = await registry.verify(version.id);
      return problems.find(({ path }) => path === file.path);
    },
  };

  const made: Partial<Registry> = {
    ...downloadsFrom(source, parts.downloads),
    register,
    async *eachVersion(search = {}) {
      let cursor = search.cursor;
      do {
        const page = await registry.searchVersions(
          cursor === undefined ? search : { ...search, cursor },
        );
        yield* page.versions;
        cursor = page.cursor;
      } while (cursor !== undefined);
    },
  };
  return Object.assign(registry, made);
}

/** In the order in which the server asks for them: that of an object's keys. */
function asReadThere(sources: readonly Source[]): readonly Source[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const keys = Object.keys(Object.fromEntries(sources.map(({ path }) => [path, true])));
  return keys.map((path) => byPath.get(path) as Source);
}

async function replayableOf(
  path: string,
  source: Source['from'],
  directory: string,
  signal: AbortSignal | undefined,
): Promise<Replayable> {
  if (!('identity' in source)) return replayable(source as ByteSource, directory, signal);
  const local = { ...source, path };
  let digest = '';
  return {
    sizeBytes: local.sizeBytes,
    async *read() {
      const hash = createHash('sha256');
      for await (const piece of readWatched(local)) {
        hash.update(piece);
        // Its memory is used again, and what was handed on may still be on its way.
        yield Buffer.from(piece);
      }
      digest = hash.digest('hex');
    },
    sha256: () => digest,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

async function* readAll(
  files: readonly { readonly path: string; readonly bytes: Replayable; readonly sha256: string }[],
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const { path, bytes, sha256 } of files) {
    yield* bytes.read(signal);
    if (bytes.sha256() === sha256) continue;
    throw new KeelsonError('CONFLICT', `${path} has changed while it was sent; register again.`, {
      details: { path },
    });
  }
}
