import PQueue from 'p-queue';
import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import type { ByteSource } from '../contracts/artifact-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { isPlainObject } from '../json.ts';
import { normaliseArtifactPath } from '../tracking/artifact-path.ts';
import type { Artifact } from '../tracking/artifacts.ts';
import type { Tracking } from '../tracking/tracking.ts';
import {
  assertUnchanged,
  type LocalFile,
  localFile,
  localTree,
  readWatched,
} from './local-tree.ts';
import { assertNoClash, modelPath } from './model-path.ts';
import type { ModelFile } from './model-version.ts';

/**
 * Where the files of a version come from: a run's artifacts below a path; all files below a local directory;
 * one local file, under its own name or as `path`; bytes by their names, streams too, read in turn.
 */
export type FilesOrigin =
  | { readonly runId: string; readonly path: string }
  | { readonly directory: string }
  | { readonly file: string; readonly path?: string }
  | { readonly files: Readonly<Record<string, ByteSource>> };

/** What is told while files are gathered or written: those that are done, and bytes of all. */
export interface FileProgress {
  readonly files: number;
  readonly bytes: number;
}

/** How files are gathered. */
export interface GatherOptions {
  readonly signal?: AbortSignal;
  /** Told some times a second, and at the end. */
  readonly onProgress?: (progress: FileProgress) => void;
}

/** The checks of {@link GatherOptions}, among other options. */
export const gatherOptions: z.ZodObject = z.object({
  signal: signalOption.optional(),
  onProgress: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof GatherOptions, z.ZodType>);

const maxFiles = 10_000;
/** Small files wait for the disk or the network, not for us. */
const atOnce = 4;

/**
 * The files of a version to be, by path ascending, their content in the store, and read back from there: what
 * the version will name is what the store has. Until somebody refers to it, it is garbage.
 */
export async function gatherFiles(
  scope: Scope,
  tracking: Tracking,
  from: FilesOrigin,
  options: GatherOptions = {},
): Promise<readonly ModelFile[]> {
  checkOptions(gatherOptions, options, 'register');
  const gathering = new Gathering(scope, options);
  const { sources, confirm } = await sourcesOf(tracking, from);
  const queue = new PQueue({ concurrency: 'files' in from ? 1 : atOnce });
  const files: ModelFile[] = [];
  const broken = new AbortController();
  const add = async (source: Source): Promise<void> => {
    // What has not begun when another has failed need not begin.
    if (broken.signal.aborted) return;
    try {
      files.push(await gathering.add(source));
    } catch (error) {
      broken.abort();
      throw error;
    }
  };
  await queue.addAll(checkedSources(sources).map((source) => () => add(source)));
  await confirm();
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Protects the files again for one that took long: NOT_FOUND, naming the file, when one was collected. */
export async function keepFiles(scope: Scope, files: readonly ModelFile[]): Promise<void> {
  for (const { path, sha256 } of files) {
    if (await scope.artifacts.keep(sha256)) continue;
    throw new KeelsonError(
      'NOT_FOUND',
      `The content of ${path} was removed before a version could refer to it; register again.`,
      { details: { path, sha256 } },
    );
  }
}

/** A file that is to be in a version. */
export interface Source {
  readonly path: string;
  readonly from: ByteSource | LocalFile | Logged;
}

/** What the store has already. */
export interface Logged {
  readonly artifact: Artifact;
}

/** The files that are to be in a version. */
export interface Sources {
  readonly sources: readonly Source[];
  /** Whether all is as it was, after the last byte was read. */
  confirm(): Promise<void>;
}

const always = async (): Promise<void> => undefined;

/** What an origin names. INVALID for what is none. */
export async function sourcesOf(tracking: Tracking, from: FilesOrigin): Promise<Sources> {
  assertOrigin(from);
  if ('runId' in from) return { sources: await artifactsOf(tracking, from), confirm: always };
  if ('files' in from) {
    return await givenFiles(from.files);
  }
  const look = (): Promise<readonly LocalFile[]> =>
    'directory' in from
      ? localTree(from.directory)
      : localFile(from.file, from.path).then((file) => [file]);
  const before = await look();
  return {
    sources: before.map((file) => ({ path: file.path, from: file })),
    confirm: async () => assertUnchanged(before, await look()),
  };
}

/** Files by their names; local ones among them are watched as those of a directory are. */
async function givenFiles(files: Readonly<Record<string, ByteSource>>): Promise<Sources> {
  const sources: Source[] = [];
  for (const [path, bytes] of Object.entries(files)) {
    const isPath = isPlainObject(bytes) && typeof bytes['path'] === 'string';
    sources.push({ path, from: isPath ? await localFile(bytes['path'] as string, path) : bytes });
  }
  return { sources, confirm: always };
}

/** One set of files on its way into the store. */
class Gathering {
  readonly #artifacts: Scope['artifacts'];
  readonly #options: GatherOptions;
  #files = 0;
  #bytes = 0;

  constructor(scope: Scope, options: GatherOptions) {
    this.#artifacts = scope.artifacts;
    this.#options = options;
  }

  async add({ path, from }: Source): Promise<ModelFile> {
    const { signal } = this.#options;
    let told = 0;
    const tell = (bytes: number): void => {
      this.#bytes += bytes - told;
      told = bytes;
      this.#options.onProgress?.({ files: this.#files, bytes: this.#bytes });
    };
    const put = (): Promise<string> =>
      'artifact' in from ? this.#kept(from) : this.#put(bytesOf(path, from), tell);
    const sha256 = await put();
    const { sizeBytes } = await this.#artifacts.verify(sha256, signal).catch(async (error) => {
      // The store had the content already, and it was damaged: found so, it is mended by another put.
      if (!isKeelsonError(error, 'CORRUPT') || !canBeReadAgain(from)) throw error;
      return await this.#artifacts.verify(await put(), signal);
    });
    this.#files += 1;
    tell(sizeBytes);
    return { path, sha256, sizeBytes };
  }

  async #put(source: ByteSource, onProgress: (bytes: number) => void): Promise<string> {
    const { signal } = this.#options;
    const put = { onProgress, ...(signal === undefined ? {} : { signal }) };
    return (await this.#artifacts.put(source, put)).sha256;
  }

  /** From here on it is as if it had just been put: no collection of garbage takes it. */
  async #kept({ artifact }: Logged): Promise<string> {
    const { sha256, path, runId } = artifact;
    if (await this.#artifacts.keep(sha256)) return sha256;
    throw new KeelsonError(
      'NOT_FOUND',
      `The content of ${path} of run ${runId} is no longer there; log it again.`,
      { details: { path, runId, sha256 } },
    );
  }
}

function canBeReadAgain(from: Source['from']): boolean {
  return from instanceof Uint8Array || from instanceof Blob || 'identity' in from;
}

function bytesOf(path: string, from: ByteSource | LocalFile): ByteSource {
  return 'identity' in from ? readWatched({ ...from, path }) : from;
}

async function artifactsOf(
  tracking: Tracking,
  from: { readonly runId: string; readonly path: string },
): Promise<readonly Source[]> {
  const prefix = normaliseArtifactPath(from.path);
  const sources: Source[] = [];
  let cursor: string | undefined;
  do {
    const page = await tracking.listArtifacts(from.runId, {
      prefix,
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (const artifact of page.artifacts) {
      // The one file that the path names keeps its last name.
      const inside = artifact.path.slice(prefix.length + 1);
      const path = inside === '' ? artifact.path.slice(artifact.path.lastIndexOf('/') + 1) : inside;
      sources.push({ path, from: { artifact } });
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  if (sources.length > 0) return sources;
  throw new KeelsonError(
    'NOT_FOUND',
    `Run ${from.runId} has no artifact at ${from.path}; log the model's files below that path first.`,
  );
}

const text = z.string().min(1);
const origin = z.union([
  z.strictObject({ runId: text, path: text }),
  z.strictObject({ directory: text }),
  z.strictObject({ file: text, path: text.optional() }),
  z.strictObject({ files: z.record(z.string(), z.unknown()) }),
]);

function assertOrigin(from: unknown): void {
  if (origin.safeParse(from).success) return;
  throw new KeelsonError(
    'INVALID',
    'register takes its files from { runId, path }, { directory }, { file, path? } or { files: { name: bytes } }.',
  );
}

/** The sources under their paths inside the version; INVALID for none, too many, and names that clash. */
export function checkedSources(sources: readonly Source[]): readonly Source[] {
  if (sources.length === 0) {
    throw new KeelsonError('INVALID', 'A model version needs files; there are none.');
  }
  if (sources.length > maxFiles) {
    throw new KeelsonError(
      'INVALID',
      `A model version has ${maxFiles} files at most, not ${sources.length}; pack those that belong together.`,
    );
  }
  const checked = sources.map(({ path, from }) => ({ path: modelPath(path), from }));
  assertNoClash(checked.map(({ path }) => path));
  return checked;
}
