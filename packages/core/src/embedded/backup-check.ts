import { readdir } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { fromFileError, isMissing } from '../content/file-fault.ts';
import { workspaceDirectory } from '../content/workspace-directory.ts';
import type { BackupProgress } from '../contracts/backup.ts';
import type { NamedContents } from '../contracts/caretaker.ts';
import { isKeelsonError } from '../errors.ts';
import { artifactLayout, contentPath, manifestSuffix } from './artifact-layout.ts';
import { aborted, topNames } from './backup.ts';
import {
  type BackupManifest,
  contentsDirectory,
  databaseFile,
  digestOf,
  readManifest,
} from './backup-layout.ts';
import { checkDatabase, contentsNamedIn } from './sqlite-snapshot.ts';

/** One thing that is wrong with a backup. */
export interface BackupFinding {
  /**
   * `stray`: a file that is no part of it, which restoring leaves out. `lacking`: it was missing or damaged
   * in the platform already when the backup was made.
   */
  readonly problem: 'missing' | 'damaged' | 'lacking' | 'stray';
  /** Relative to the backup. */
  readonly path: string;
  readonly message: string;
}

/** What a backup holds, and what is wrong with it. */
export interface BackupCheck {
  readonly at: number;
  readonly databaseBytes: number;
  readonly contents: number;
  readonly contentBytes: number;
  /** Empty when the backup is whole. */
  readonly findings: readonly BackupFinding[];
}

/** How a backup is checked. */
export interface BackupCheckOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BackupProgress) => void) | undefined;
}

const integrityProblems = 10;

/** Reads every byte of a backup, writes nothing, and names what is wrong. */
export async function checkBackup(
  dir: string,
  named: readonly NamedContents[],
  options: BackupCheckOptions = {},
): Promise<BackupCheck> {
  const path = resolve(dir);
  try {
    const manifest = await readManifest(path);
    const findings: BackupFinding[] = manifest.lacking.map((each) => ({
      problem: 'lacking',
      path: placeOf(each.workspace, each.sha256),
      message: `${each.by} names a content that was not there when the backup was made: ${each.problem}`,
    }));
    options.onProgress?.({ phase: 'database', contents: 0, totalContents: 0, bytes: 0 });
    const database = await checkDatabaseFile(path, manifest, options.signal);
    findings.push(...database);
    const contents =
      database.length === 0
        ? await checkContents(path, manifest, named, options)
        : // What it names cannot be relied on.
          { count: 0, bytes: 0, findings: [], known: undefined };
    findings.push(...contents.findings, ...(await strays(path, contents.known)));
    return {
      at: manifest.at,
      databaseBytes: manifest.database.sizeBytes,
      contents: contents.count,
      contentBytes: contents.bytes,
      findings,
    };
  } catch (error) {
    const broken = aborted(options.signal, 'check of a backup');
    throw broken ?? fromFileError(error, 'reading a backup', path);
  }
}

async function checkDatabaseFile(
  path: string,
  manifest: BackupManifest,
  signal: AbortSignal | undefined,
): Promise<BackupFinding[]> {
  const file = join(path, databaseFile);
  const found = await digestOrMissing(file, signal);
  if (found === undefined) {
    return [{ problem: 'missing', path: databaseFile, message: 'The database is missing.' }];
  }
  const { sha256, sizeBytes } = manifest.database;
  if (found.sha256 !== sha256) {
    const size = found.sizeBytes === sizeBytes ? '' : `, ${found.sizeBytes} bytes of ${sizeBytes}`;
    const message = `The database is not what was written: SHA-256 ${found.sha256}${size}, not ${sha256}.`;
    return [{ problem: 'damaged', path: databaseFile, message }];
  }
  const options = { immutable: true, ...(signal === undefined ? {} : { signal }) };
  try {
    const problems = await checkDatabase(file, options);
    return problems.slice(0, integrityProblems).map((message) => ({
      problem: 'damaged',
      path: databaseFile,
      message: `The database was damaged when the backup was made: ${message}`,
    }));
  } catch (error) {
    if (!isKeelsonError(error, 'CORRUPT')) throw error;
    return [{ problem: 'damaged', path: databaseFile, message: error.message }];
  }
}

async function checkContents(
  path: string,
  manifest: BackupManifest,
  named: readonly NamedContents[],
  { signal, onProgress }: BackupCheckOptions,
): Promise<{
  readonly count: number;
  readonly bytes: number;
  readonly findings: readonly BackupFinding[];
  readonly known: ReadonlySet<string>;
}> {
  const lacking = new Set(
    manifest.lacking.map(({ workspace, sha256 }) => placeOf(workspace, sha256)),
  );
  const known = new Set<string>();
  const findings: BackupFinding[] = [];
  let count = 0;
  let bytes = 0;
  for (const { workspace, sha256, by } of contentsNamedIn(join(path, databaseFile), named)) {
    signal?.throwIfAborted();
    const place = placeOf(workspace, sha256);
    if (known.has(place) || lacking.has(place)) continue;
    known.add(place);
    const found = await digestOrMissing(join(path, place), signal);
    if (found === undefined) {
      const message = `The content ${sha256}, which ${by} of workspace ${workspace} names, is missing.`;
      findings.push({ problem: 'missing', path: place, message });
    } else if (found.sha256 !== sha256) {
      const message = `The content ${sha256}, which ${by} of workspace ${workspace} names, has other bytes (${found.sizeBytes}, SHA-256 ${found.sha256}).`;
      findings.push({ problem: 'damaged', path: place, message });
    } else {
      count += 1;
      bytes += found.sizeBytes;
    }
    onProgress?.({
      phase: 'contents',
      contents: known.size,
      totalContents: manifest.contents.count,
      bytes,
    });
  }
  return { count, bytes, findings, known };
}

/** Files that are no part of the backup; contents only where it is known which are. */
async function strays(
  path: string,
  known: ReadonlySet<string> | undefined,
): Promise<BackupFinding[]> {
  const found: string[] = [];
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (!topNames.has(entry.name)) found.push(entry.name);
  }
  if (known !== undefined) {
    const top = join(path, contentsDirectory);
    const below = await readdir(top, { recursive: true, withFileTypes: true }).catch(
      (error: unknown) => {
        if (isMissing(error)) return [];
        throw error;
      },
    );
    for (const entry of below) {
      if (entry.isDirectory()) continue;
      const place = relative(path, join(entry.parentPath, entry.name)).replaceAll('\\', '/');
      // The digests of a content's chunks: made anew where they are missing or wrong.
      const content = place.endsWith(manifestSuffix)
        ? place.slice(0, -manifestSuffix.length)
        : place;
      if (!known.has(content) || !entry.isFile()) found.push(place);
    }
  }
  return found.map((each) => ({
    problem: 'stray',
    path: each,
    message: `${each} is no part of the backup.`,
  }));
}

function placeOf(workspace: string, sha256: string): string {
  const { spaces } = artifactLayout(contentsDirectory);
  return contentPath(join(spaces, workspaceDirectory(workspace)), sha256).replaceAll('\\', '/');
}

async function digestOrMissing(
  file: string,
  signal: AbortSignal | undefined,
): Promise<Awaited<ReturnType<typeof digestOf>> | undefined> {
  try {
    return await digestOf(file, signal);
  } catch (error) {
    if (isMissing(error) || (error as NodeJS.ErrnoException).code === 'EISDIR') return undefined;
    throw error;
  }
}
