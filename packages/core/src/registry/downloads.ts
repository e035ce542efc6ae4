import { join } from 'node:path';
import PQueue from 'p-queue';
import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import type { ByteRange } from '../contracts/artifact-store.ts';
import type { DownloadCache } from '../contracts/download-cache.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { asKeelsonError } from '../tracking/local-files.ts';
import {
  assertHasContent,
  assertWhole,
  type FileProblem,
  flagDamage,
  problemOf,
} from './damage.ts';
import { DownloadTarget } from './download-target.ts';
import type { FileProgress } from './gather-files.ts';
import { assertNoClash, modelPath } from './model-path.ts';
import type { ModelFile, ModelVersion } from './model-version.ts';
import { readNamedVersion } from './named-version.ts';
import { publicKeys, type TrustOptions } from './signing/signatures.ts';
import { assertSigned } from './signing/trust.ts';

/** How a version is downloaded. */
export interface DownloadOptions {
  /**
   * Files of one's own, which may be written to. Otherwise they are read only, and large ones share their bytes
   * with the cache, so that they are there at once and take no room.
   */
  readonly copy?: boolean;
  /**
   * FORBIDDEN unless somebody who is trusted has signed the version: by the public keys given, or those that the
   * platform trusts.
   */
  readonly requireSignature?: boolean | TrustOptions;
  /** Files of other content that have names of the version's are replaced; otherwise that is a CONFLICT. */
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
  /** Told of files that are there, and bytes of all. */
  readonly onProgress?: (progress: FileProgress) => void;
}

const shape = z.strictObject({
  copy: z.boolean().optional(),
  requireSignature: z
    .union([z.boolean(), z.strictObject({ trusted: publicKeys.optional() })])
    .optional(),
  overwrite: z.boolean().optional(),
  signal: signalOption.optional(),
  onProgress: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof DownloadOptions, z.ZodType>);

/** The bytes of versions. */
export interface Downloads {
  /**
   * Writes the files of a version (its id, or `model@1.2.0`) under `directory`, through the cache of this machine;
   * answers their paths. A directory that was not there is there as a whole, or not at all; in one that was,
   * each file is. Files that are there already with the same bytes stay.
   *
   * CORRUPT for content that is not what was registered: none of it is left, and the version is flagged, as
   * {@link Verifications.verify} says. CONFLICT for a name that is taken.
   */
  download(
    version: string,
    directory: string,
    options?: DownloadOptions,
  ): Promise<readonly string[]>;
  /**
   * The bytes of one file of a version, which verify themselves as they are read. NOT_FOUND, naming the files that
   * there are; CORRUPT for a version that was found damaged.
   */
  openFile(version: string, path: string, range?: ByteRange): Promise<ReadableStream<Uint8Array>>;
}

const atOnce = 4;

/** Where the files of versions come from. */
export interface DownloadSource {
  /** A version by its id, or a reference. */
  version(name: string): Promise<ModelVersion>;
  /** FORBIDDEN unless somebody who is trusted has signed the version. */
  assertSigned(version: ModelVersion, trusted: readonly string[] | undefined): Promise<void>;
  open(
    version: ModelVersion,
    file: ModelFile,
    range?: ByteRange,
    signal?: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>>;
  /** Looks at a file that did not arrive as it should: what is wrong with it where it lies, which is flagged then. */
  damage(
    version: ModelVersion,
    file: ModelFile,
    signal: AbortSignal | undefined,
  ): Promise<FileProblem | undefined>;
}

/** Downloads, bound to a scope. */
export function createDownloads(scope: Scope, cache: DownloadCache): Downloads {
  return downloadsFrom(
    {
      version: (name) => readNamedVersion(scope, name),
      assertSigned: (version, trusted) => assertSigned(scope, version, trusted),
      open: (_version, { sha256 }, range, signal) => scope.artifacts.open(sha256, range, signal),
      async damage(version, file, signal) {
        const problem = await problemOf(scope, file, signal);
        if (problem !== undefined) await flagDamage(scope, version.id, [problem]);
        return problem;
      },
    },
    cache,
  );
}

/** Downloads out of whatever has the files. */
export function downloadsFrom(source: DownloadSource, cache: DownloadCache): Downloads {
  return {
    async download(name, directory, options = {}) {
      checkOptions(shape, options, 'download');
      if (assertText(directory, 'A directory', 4096) === '') {
        throw new KeelsonError('INVALID', 'download needs the directory to write to.');
      }
      const version = await source.version(name);
      assertHasContent(version);
      assertWhole(version);
      await assertTrusted(source, version, options.requireSignature ?? false);
      const files = safeFiles(version);
      const { target, there } = await DownloadTarget.open(
        directory,
        files,
        options.overwrite ?? false,
      );
      await using _ = target;
      const missing = files.filter(({ path }) => !there.has(path));
      await placeAll({ source, cache, version, target, options }, missing);
      await target.finish(files);
      return files.map(({ path }) => join(directory, path));
    },

    async openFile(name, path, range) {
      const version = await source.version(name);
      assertHasContent(version);
      assertWhole(version);
      const file = version.files.find((each) => each.path === path);
      if (file !== undefined) return await source.open(version, file, range);
      const there = version.files.map((each) => each.path);
      throw new KeelsonError(
        'NOT_FOUND',
        `Version ${version.version} of ${version.model} has no file ${JSON.stringify(path)}; it has ${there.slice(0, 20).join(', ')}.`,
        { details: { versionId: version.id } },
      );
    },
  };
}

async function assertTrusted(
  source: DownloadSource,
  version: ModelVersion,
  required: boolean | TrustOptions,
): Promise<void> {
  if (required === false) return;
  await source.assertSigned(version, required === true ? undefined : required.trusted);
}

/** The files under paths that stay inside a directory, also where the record came from elsewhere. */
function safeFiles(version: ModelVersion): readonly ModelFile[] {
  const files = version.files.map((file) => ({ ...file, path: modelPath(file.path) }));
  assertNoClash(files.map(({ path }) => path));
  return files;
}

interface Placing {
  readonly source: DownloadSource;
  readonly cache: DownloadCache;
  readonly version: ModelVersion;
  readonly target: DownloadTarget;
  readonly options: DownloadOptions;
}

async function placeAll(placing: Placing, files: readonly ModelFile[]): Promise<void> {
  const { options } = placing;
  let done = 0;
  let bytes = 0;
  const queue = new PQueue({ concurrency: atOnce });
  // The others end with the first that fails: what they write to goes.
  const stop = new AbortController();
  const signal =
    options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal]);
  const placed = files.map((file) =>
    queue.add(async () => {
      let told = 0;
      const tell = (now: number): void => {
        bytes += now - told;
        told = now;
        options.onProgress?.({ files: done, bytes });
      };
      try {
        assertGoingOn(signal);
        await placeFile(placing, file, signal, tell);
      } catch (error) {
        stop.abort(error);
        throw error;
      }
      done += 1;
      tell(file.sizeBytes);
    }),
  );
  const faults = (await Promise.allSettled(placed)).filter((each) => each.status === 'rejected');
  if (options.signal?.aborted) assertGoingOn(options.signal);
  // Those that were stopped for its sake say less.
  if (faults.length > 0) throw stop.signal.reason;
}

async function placeFile(
  { source, cache, version, target, options }: Placing,
  file: ModelFile,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<void> {
  try {
    await cache.place(file, await target.place(file), {
      open: (start) => source.open(version, file, { start }, signal),
      copy: options.copy ?? false,
      signal,
      onBytes,
    });
  } catch (error) {
    if (signal.aborted || !isKeelsonError(error, 'CORRUPT', 'NOT_FOUND')) {
      throw asKeelsonError(error, `${file.path} cannot be written`);
    }
    // The line may have been at fault: what lies in the store decides.
    const problem = await source.damage(version, file, options.signal);
    if (problem === undefined) throw error;
    throw new KeelsonError(
      problem.code,
      `${file.path} of version ${version.version} of ${version.model} is damaged, so that the version is flagged: ${problem.problem}`,
      { cause: error, details: { versionId: version.id, path: file.path, sha256: file.sha256 } },
    );
  }
}

function assertGoingOn(signal: AbortSignal): void {
  if (!signal.aborted) return;
  if (isKeelsonError(signal.reason)) throw signal.reason;
  throw new KeelsonError('ABORTED', 'The download was aborted by its caller.', {
    cause: signal.reason,
  });
}
