import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fromFileError, isMissing } from '../content/file-fault.ts';
import type { ArtifactStore } from '../contracts/artifact-store.ts';
import type { BackupProgress, BackupReport } from '../contracts/backup.ts';
import type { NamedContents } from '../contracts/caretaker.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import {
  type BackupManifest,
  contentsDirectory,
  databaseFile,
  digestOf,
  manifestFile,
  unfinishedFile,
} from './backup-layout.ts';
import { formatFile, knownFormats, writeFormat } from './directory-format.ts';
import { syncPath, writeDurably } from './durable-file.ts';
import { FileArtifactStore } from './file-artifact-store.ts';
import { contentsNamedIn, type NamedContent, snapshotDatabase } from './sqlite-snapshot.ts';

/** What a backup is made of. */
export interface BackupSource {
  readonly databasePath: string;
  readonly artifacts: ArtifactStore;
  readonly named: readonly NamedContents[];
}

/** How it is made. */
export interface WriteBackupOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BackupProgress) => void) | undefined;
  now(): number;
}

/** How often a snapshot is taken anew because contents that it names were collected meanwhile. */
const snapshots = 3;

/**
 * Writes a backup into a directory that is absent, empty, or holds a backup that was broken off. First
 * the database as it is at one moment, then each content that it names: content is put before a record
 * names it, so all of it is there, unless it was removed since. Then the database is taken anew.
 */
export async function writeBackup(
  source: BackupSource,
  dir: string,
  options: WriteBackupOptions,
): Promise<BackupReport> {
  const target = resolve(dir);
  try {
    await begin(target);
    await using store = await FileArtifactStore.open({ dir: join(target, contentsDirectory) });
    for (let attempt = 1; ; attempt += 1) {
      const at = options.now();
      await takeDatabase(source, target, options);
      const copied = await copyContents(source, store, target, options);
      if (copied.lacking.length > 0 && attempt < snapshots) continue;
      await store.close();
      return await finish(target, at, copied, options);
    }
  } catch (error) {
    throw aborted(options.signal, 'backup') ?? fromFileError(error, 'writing a backup', target);
  }
}

/** The error of an aborted signal; undefined while it is not. */
export function aborted(signal: AbortSignal | undefined, what: string): KeelsonError | undefined {
  if (signal?.aborted !== true) return undefined;
  return new KeelsonError('ABORTED', `The ${what} was aborted.`, { cause: signal.reason });
}

async function begin(target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  const there = await readdir(target);
  if (there.includes(manifestFile)) {
    throw new KeelsonError(
      'CONFLICT',
      `${target} holds a finished backup already; give each backup a directory of its own.`,
      { details: { path: target } },
    );
  }
  if (!there.includes(unfinishedFile)) {
    const other = there.filter((name) => name !== 'lost+found');
    if (other.length > 0) {
      throw new KeelsonError(
        'INVALID',
        `${target} is not empty (it holds ${other.slice(0, 3).join(', ')}); name a directory for the backup alone.`,
        { details: { path: target } },
      );
    }
    await writeDurably(join(target, unfinishedFile), '');
  }
  await writeFormat(target, knownFormats.current);
}

async function takeDatabase(
  source: BackupSource,
  target: string,
  { signal, onProgress }: WriteBackupOptions,
): Promise<void> {
  signal?.throwIfAborted();
  onProgress?.({ phase: 'database', contents: 0, totalContents: 0, bytes: 0 });
  const file = join(target, databaseFile);
  for (const suffix of ['', '-wal', '-shm', '-journal'])
    await rm(`${file}${suffix}`, { force: true });
  await snapshotDatabase(source.databasePath, file);
}

interface Copied {
  readonly count: number;
  readonly bytes: number;
  readonly lacking: BackupManifest['lacking'];
}

async function copyContents(
  source: BackupSource,
  store: FileArtifactStore,
  target: string,
  { signal, onProgress }: WriteBackupOptions,
): Promise<Copied> {
  const wanted = new Map<string, NamedContent>();
  for (const each of contentsNamedIn(join(target, databaseFile), source.named)) {
    wanted.set(`${each.workspace}\u0000${each.sha256}`, each);
  }
  let count = 0;
  let bytes = 0;
  const lacking: BackupManifest['lacking'][number][] = [];
  for (const { workspace, sha256, by } of wanted.values()) {
    signal?.throwIfAborted();
    const space = store.space(workspace);
    const there = await space.find(sha256);
    try {
      const content =
        there ??
        (await space.put(await source.artifacts.space(workspace).open(sha256, {}, signal), {
          sha256,
          ...(signal === undefined ? {} : { signal }),
        }));
      count += 1;
      bytes += content.sizeBytes;
    } catch (error) {
      if (!isKeelsonError(error, 'NOT_FOUND', 'CORRUPT')) throw error;
      lacking.push({ workspace, sha256, by, problem: error.message });
    }
    onProgress?.({ phase: 'contents', contents: count, totalContents: wanted.size, bytes });
  }
  return { count, bytes, lacking };
}

async function finish(
  target: string,
  at: number,
  copied: Copied,
  options: WriteBackupOptions,
): Promise<BackupReport> {
  const contents = join(target, contentsDirectory);
  // What a broken attempt before this one left, and what only a living store needs.
  for (const name of ['incoming', 'removing']) {
    await rm(join(contents, name), { recursive: true, force: true });
  }
  const database = await digestOf(join(target, databaseFile), options.signal);
  const { count, bytes, lacking } = copied;
  const manifest: BackupManifest = {
    kind: 'keelson-backup',
    version: 1,
    format: knownFormats.current,
    at,
    database,
    contents: { count, bytes },
    lacking,
  };
  await syncPath(target);
  await writeDurably(join(target, manifestFile), `${JSON.stringify(manifest, undefined, 2)}\n`);
  await rm(join(target, unfinishedFile), { force: true });
  return {
    dir: target,
    at,
    databaseBytes: database.sizeBytes,
    contents: count,
    contentBytes: bytes,
    lacking,
  };
}

/** Whether there is a directory; undefined for nothing, false for what is no directory. */
export async function isDirectory(path: string): Promise<boolean | undefined> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Names that belong to a backup, at its top. */
export const topNames: ReadonlySet<string> = new Set([
  manifestFile,
  databaseFile,
  contentsDirectory,
  formatFile,
  'lost+found',
]);
