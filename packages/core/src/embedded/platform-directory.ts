import { access, constants, mkdir, readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fromFileError, isMissing, systemCode } from '../content/file-fault.ts';
import { KeelsonError } from '../errors.ts';
import {
  formatFile,
  type KnownFormats,
  knownFormats,
  lockFile,
  migrateDirectory,
  migrationUnfinished,
  readFormat,
  stepsFrom,
  writeFormat,
} from './directory-format.ts';
import { DirectoryLock } from './directory-lock.ts';
import { DurableDirectories } from './durable-file.ts';
import { type FileSystemFacts, networkFileSystem } from './network-file-system.ts';

/** How a platform directory is opened; the defaults are right but in tests. */
export interface PlatformDirectoryOptions {
  readonly signal?: AbortSignal;
  /** How long to wait for others that migrate it, or use it while we must; 30,000 when left out. */
  readonly timeoutMs?: number;
  readonly formats?: KnownFormats;
  readonly fileSystem?: FileSystemFacts;
}

/** An open platform directory, by absolute paths. While it is open no other version migrates it. */
export interface PlatformDirectory extends AsyncDisposable {
  readonly path: string;
  /** The SQLite file; created by the store that uses it. */
  readonly databasePath: string;
  readonly artifactsPath: string;
  /** A directory for points that wait while the store is away. */
  readonly spoolPath: string;
  /** Twice is fine. */
  close(): Promise<void>;
}

// What an empty directory may hold: marks of file systems, of version control and of file managers.
const harmless: ReadonlySet<string> = new Set([
  'lost+found',
  '.gitkeep',
  '.gitignore',
  '.DS_Store',
  lockFile,
]);

/**
 * Opens the directory of an embedded platform, creating it if need be; several processes may do so at
 * once. A directory of an older format is backed up and migrated while nobody else uses it.
 *
 * INCOMPATIBLE for a newer format; UNSUPPORTED for a network file system; INVALID for a path that is
 * a file, or a directory that holds other things; UNAVAILABLE when it may not be written, or is used by
 * others for too long while it must be migrated; EXHAUSTED when the disk is full. Each names the remedy.
 */
export async function openPlatformDirectory(
  dir: string,
  options: PlatformDirectoryOptions = {},
): Promise<PlatformDirectory> {
  const path = resolve(dir);
  try {
    await refuseNetwork(path, options.fileSystem);
    await makeDirectory(path);
    return await openDirectory(path, options);
  } catch (error) {
    throw fromFileError(error, 'opening the platform directory', path);
  }
}

async function openDirectory(
  path: string,
  options: PlatformDirectoryOptions,
): Promise<PlatformDirectory> {
  if ((await readFormat(path)) === undefined) await refuseForeign(path);
  const lock = DirectoryLock.open(join(path, lockFile));
  try {
    await shareInCurrentFormat(path, lock, options);
    const artifactsPath = join(path, 'artifacts');
    const spoolPath = join(path, 'spool');
    await mkdir(artifactsPath, { recursive: true });
    await mkdir(spoolPath, { recursive: true });
    const close = (): Promise<void> => {
      lock.close();
      return Promise.resolve();
    };
    return {
      path,
      databasePath: join(path, 'keelson.db'),
      artifactsPath,
      spoolPath,
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** Ends with the lock shared and the directory in the current format. */
async function shareInCurrentFormat(
  path: string,
  lock: DirectoryLock,
  options: PlatformDirectoryOptions,
): Promise<void> {
  const { signal, timeoutMs = 30_000, formats = knownFormats } = options;
  const startedAt = performance.now();
  for (;;) {
    if (signal?.aborted) {
      throw new KeelsonError('ABORTED', `Opening ${path} was aborted.`, { cause: signal.reason });
    }
    let obstacle = 'is being brought to a newer format by another process';
    if (lock.tryShare()) {
      if (!(await mustChange(path, formats))) return;
      obstacle = 'has an older format, and is in use by other processes';
      if (lock.tryAlone()) {
        await migrateDirectory(path, formats);
        lock.release();
        // Looked at anew: before we share it, another version may have taken it still further.
        continue;
      }
    }
    if (performance.now() - startedAt > timeoutMs) {
      throw new KeelsonError(
        'UNAVAILABLE',
        `${path} ${obstacle}; ${timeoutMs} ms were not enough to wait for that. End the other processes, or try again later.`,
        { details: { path } },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 5 + Math.random() * 20));
  }
}

async function mustChange(path: string, formats: KnownFormats): Promise<boolean> {
  if (await migrationUnfinished(path)) return true;
  const format = await readFormat(path);
  if (format !== undefined) return stepsFrom(path, format, formats).length > 0;
  // Whoever else creates it at this moment shares the lock, and so writes the same number or waits.
  await writeFormat(path, formats.current);
  return false;
}

async function refuseNetwork(path: string, facts: FileSystemFacts | undefined): Promise<void> {
  const existing = await nearestExisting(path);
  const name = await networkFileSystem(existing, facts);
  if (name === undefined) return;
  throw new KeelsonError(
    'UNSUPPORTED',
    `${path} lies on a network file system (${name}), where the locks of a SQLite database do not hold: it would be damaged. Name a directory on a local disk, or use PostgreSQL and S3-compatible storage to share a platform between hosts.`,
    { details: { path, fileSystem: name } },
  );
}

async function nearestExisting(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    try {
      await stat(at);
      return at;
    } catch (error) {
      if (!isMissing(error) || at === dirname(at)) throw error;
    }
  }
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await new DurableDirectories(dirname(await nearestExisting(dirname(path)))).make(path);
  } catch (error) {
    if (systemCode(error) === 'EEXIST') {
      throw new KeelsonError(
        'INVALID',
        `${path} is a file; the platform needs a directory. Name another one, or move the file away.`,
        { cause: error, details: { path } },
      );
    }
    throw error;
  }
  // SQLite would open what it may not write for reading only, and fail at the first commit.
  await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
}

async function refuseForeign(path: string): Promise<void> {
  const others = (await readdir(path)).filter(
    (name) => !harmless.has(name) && !/^\..*\.tmp$/.test(name),
  );
  // The format is written first; it may have come while we looked.
  if (others.length === 0 || others.includes(formatFile)) return;
  throw new KeelsonError(
    'INVALID',
    `${path} is no platform directory, and is not empty: it holds ${others.slice(0, 5).join(', ')}${others.length > 5 ? ' …' : ''}. Name an empty or a new directory, such as ${join(path, '.keelson')}.`,
    { details: { path } },
  );
}
