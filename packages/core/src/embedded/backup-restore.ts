import { copyFile, mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fromFileError } from '../content/file-fault.ts';
import { workspaceDirectory } from '../content/workspace-directory.ts';
import type { BackupProgress } from '../contracts/backup.ts';
import type { NamedContents } from '../contracts/caretaker.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { uuidV7 } from '../uuid.ts';
import { artifactLayout, contentPath } from './artifact-layout.ts';
import { aborted, isDirectory } from './backup.ts';
import { contentsDirectory, databaseFile, digestOf, readManifest } from './backup-layout.ts';
import { knownFormats, stepsFrom, writeFormat } from './directory-format.ts';
import { syncPath } from './durable-file.ts';
import { FileArtifactStore } from './file-artifact-store.ts';
import { contentsNamedIn } from './sqlite-snapshot.ts';

/** How a backup is restored. */
export interface RestoreOptions {
  /** The platform directory that is to be: absent, or empty. */
  readonly dir: string;
  /** Contents that are missing or damaged are left out, and named, instead of refused. */
  readonly leaveOutDamaged?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BackupProgress) => void) | undefined;
}

/** What was restored. */
export interface RestoreReport {
  /** Absolute. */
  readonly dir: string;
  /** When the backup was made, epoch ms. */
  readonly at: number;
  readonly contents: number;
  readonly contentBytes: number;
  /** Contents that records name and that are not there: by `leaveOutDamaged`, or lacking in the backup. */
  readonly leftOut: readonly {
    readonly workspace: string;
    readonly sha256: string;
    readonly by: string;
  }[];
}

/**
 * Makes a platform directory of a backup, every digest checked on the way; it appears under its name when
 * it is whole. CORRUPT, and nothing left behind, for a backup that is damaged; the backup is only read.
 */
export async function restoreFromBackup(
  backup: string,
  named: readonly NamedContents[],
  options: RestoreOptions,
): Promise<RestoreReport> {
  const from = resolve(backup);
  const target = resolve(options.dir);
  const aside = join(dirname(target), `.${basename(target)}.${uuidV7()}.restoring`);
  try {
    const manifest = await readManifest(from);
    stepsFrom(from, manifest.format, knownFormats);
    await assertFree(target);
    await mkdir(aside, { recursive: true });
    await restoreDatabase(from, aside, manifest.database.sha256, options);
    const restored = await restoreContents(from, aside, named, options, manifest.contents.count);
    await writeFormat(aside, manifest.format);
    await syncPath(aside);
    // An empty directory gives way; one that was filled meanwhile does not.
    if (await isDirectory(target)) await rmdir(target);
    await rename(aside, target);
    await syncPath(dirname(target));
    return { dir: target, at: manifest.at, ...restored };
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    throw (
      aborted(options.signal, 'restoration of a backup') ??
      fromFileError(error, 'restoring a backup', target)
    );
  }
}

async function assertFree(target: string): Promise<void> {
  const there = await isDirectory(target);
  if (there === undefined) return;
  if (there && (await readdir(target)).length === 0) return;
  throw new KeelsonError(
    'CONFLICT',
    `${target} is there already; restore into a directory that is absent or empty, then put it in the place of the other.`,
    { details: { path: target } },
  );
}

async function restoreDatabase(
  from: string,
  aside: string,
  sha256: string,
  { signal, onProgress }: RestoreOptions,
): Promise<void> {
  onProgress?.({ phase: 'database', contents: 0, totalContents: 0, bytes: 0 });
  const file = join(aside, databaseFile);
  await copyFile(join(from, databaseFile), file);
  const found = await digestOf(file, signal);
  if (found.sha256 !== sha256) {
    throw new KeelsonError(
      'CORRUPT',
      `The database of the backup ${from} is damaged: its SHA-256 is ${found.sha256}, not ${sha256}. Restore another backup.`,
      { details: { path: join(from, databaseFile) } },
    );
  }
  await syncPath(file);
}

async function restoreContents(
  from: string,
  aside: string,
  named: readonly NamedContents[],
  options: RestoreOptions,
  totalContents: number,
): Promise<Pick<RestoreReport, 'contents' | 'contentBytes' | 'leftOut'>> {
  const { signal, onProgress, leaveOutDamaged = false } = options;
  await using store = await FileArtifactStore.open({ dir: join(aside, contentsDirectory) });
  const { spaces } = artifactLayout(join(from, contentsDirectory));
  const { lacking } = await readManifest(from);
  const done = new Set<string>();
  const leftOut = lacking.map(({ workspace, sha256, by }) => ({ workspace, sha256, by }));
  for (const { workspace, sha256 } of leftOut) done.add(`${workspace}\u0000${sha256}`);
  let contents = 0;
  let contentBytes = 0;
  for (const { workspace, sha256, by } of contentsNamedIn(join(aside, databaseFile), named)) {
    signal?.throwIfAborted();
    const key = `${workspace}\u0000${sha256}`;
    if (done.has(key)) continue;
    done.add(key);
    const path = contentPath(join(spaces, workspaceDirectory(workspace)), sha256);
    try {
      const how = { sha256, ...(signal === undefined ? {} : { signal }) };
      contentBytes += (await store.space(workspace).put({ path }, how)).sizeBytes;
      contents += 1;
    } catch (error) {
      if (!isKeelsonError(error, 'NOT_FOUND', 'CORRUPT')) throw error;
      if (!leaveOutDamaged) throw damagedContent(from, { workspace, sha256, by }, error);
      leftOut.push({ workspace, sha256, by });
    }
    onProgress?.({ phase: 'contents', contents, totalContents, bytes: contentBytes });
  }
  return { contents, contentBytes, leftOut };
}

function damagedContent(
  from: string,
  content: { readonly workspace: string; readonly sha256: string; readonly by: string },
  cause: KeelsonError,
): KeelsonError {
  const what = cause.code === 'NOT_FOUND' ? 'is missing' : 'is damaged';
  return new KeelsonError(
    'CORRUPT',
    `In the backup ${from} the content ${content.sha256}, which ${content.by} of workspace ${content.workspace} names, ${what}. verifyBackup names everything that is wrong; leaveOutDamaged restores the rest.`,
    { cause, details: { ...content } },
  );
}
