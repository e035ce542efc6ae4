import { cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isMissing } from '../content/file-fault.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { syncPath, writeDurably } from './durable-file.ts';

/** One step from a format of the platform directory to the next. */
export interface FormatMigration {
  /** It leads from this format to the one after it. */
  readonly from: number;
  /** Such as `metric chunks packed in a new way`. */
  readonly what: string;
  /**
   * Changes the directory, which nobody else uses meanwhile. Killed or failed, everything but
   * `artifacts` is put back before it is tried again; artifacts must be changed in a way that can be
   * repeated.
   */
  run(path: string): Promise<void>;
}

/** The formats that this version of Keelson knows. */
export interface KnownFormats {
  readonly current: number;
  readonly migrations: readonly FormatMigration[];
}

/** What this version writes. Format 1 is the first one. */
export const knownFormats: KnownFormats = { current: 1, migrations: [] };

/** The file that holds the format number. */
export const formatFile = 'format';
/** The file on which users of the directory hold their lock. */
export const lockFile = 'lock';
const migrationFile = 'migration.json';
const backups = 'backups';

// Artifacts never change under their names and may be huge; the others are our own tools.
const notBackedUp: ReadonlySet<string> = new Set(['artifacts', backups, lockFile, migrationFile]);

/** The format of a directory; undefined when it has none yet. CORRUPT for what is no number. */
export async function readFormat(path: string): Promise<number | undefined> {
  const file = join(path, formatFile);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  if (/^[1-9]\d{0,8}\n?$/.test(text)) return Number(text);
  throw new KeelsonError(
    'CORRUPT',
    `${file} should hold the number of the directory's format, and holds ${JSON.stringify(text.slice(0, 50))}. Put it back from a backup; a directory of this version has ${knownFormats.current}.`,
    { details: { path: file } },
  );
}

/** Writes the format number. */
export async function writeFormat(path: string, format: number): Promise<void> {
  await writeDurably(join(path, formatFile), `${format}\n`);
}

/** Whether a migration began and did not end. */
export async function migrationUnfinished(path: string): Promise<boolean> {
  return (await readMigration(path)) !== undefined;
}

/**
 * Brings a directory, which the caller holds alone, to the current format: puts back what a broken
 * migration left, copies the directory to `backups/`, migrates step by step, writes the number.
 * INCOMPATIBLE for a newer format, or when a step is missing; FAILED, with everything put back, when a
 * step fails.
 */
export async function migrateDirectory(path: string, known: KnownFormats): Promise<void> {
  const broken = await readMigration(path);
  if (broken !== undefined) await restore(path, broken);
  const format = (await readFormat(path)) ?? known.current;
  const steps = stepsFrom(path, format, known);
  if (steps.length === 0) return;
  const backup = await backUp(path, format);
  await writeDurably(join(path, migrationFile), JSON.stringify({ backup }));
  for (const step of steps) {
    try {
      await step.run(path);
    } catch (error) {
      await restore(path, backup);
      throw new KeelsonError(
        'FAILED',
        `Bringing ${path} from format ${step.from} to ${step.from + 1} (${step.what}) failed; the directory is as it was before, and its backup is in ${join(path, backup)}. Use the version of Keelson that wrote it, and report this.`,
        { cause: error, details: { path, format: step.from, backup } },
      );
    }
  }
  await writeFormat(path, known.current);
  await endMigration(path);
}

/** Refuses a format that this version does not know, and gives the steps from it to the current one. */
export function stepsFrom(
  path: string,
  format: number,
  known: KnownFormats,
): readonly FormatMigration[] {
  const details = { path, format, known: known.current };
  if (format > known.current) {
    throw new KeelsonError(
      'INCOMPATIBLE',
      `${path} was written by a newer version of Keelson: it has format ${format}, and this version knows formats up to ${known.current}. Update @keelson/core, or name another directory.`,
      { details },
    );
  }
  const steps: FormatMigration[] = [];
  for (let at = format; at < known.current; at += 1) {
    const step = known.migrations.find((migration) => migration.from === at);
    if (step === undefined) {
      throw new KeelsonError(
        'INCOMPATIBLE',
        `${path} has format ${format}, which this version of Keelson can no longer bring to format ${known.current}. Open it with an older version first.`,
        { details },
      );
    }
    steps.push(step);
  }
  return steps;
}

/** In which format a platform directory is, and what opening it will change. */
export interface DirectoryFormat {
  /** Undefined for what is no platform directory yet. */
  readonly format: number | undefined;
  /** What this version writes. */
  readonly current: number;
  /** What each step does that leads there. */
  readonly steps: readonly string[];
  /** A migration was broken off; opening the directory puts it back and migrates again. */
  readonly unfinished: boolean;
}

/**
 * Looks at the format of a platform directory without opening it. INCOMPATIBLE for one that this version cannot bring to
 * its own, CORRUPT for what is no number, INVALID for what is no path, UNAVAILABLE for what cannot be read.
 */
export async function directoryFormat(path: string): Promise<DirectoryFormat> {
  assertText(path, 'The path of a directory');
  let format: number | undefined;
  try {
    format = await readFormat(path);
  } catch (cause) {
    if (isKeelsonError(cause)) throw cause;
    const why = (cause as Error).message;
    throw new KeelsonError('UNAVAILABLE', `The directory cannot be read: ${why}.`, { cause });
  }
  const steps = format === undefined ? [] : stepsFrom(path, format, knownFormats);
  return {
    format,
    current: knownFormats.current,
    steps: steps.map(({ what }) => what),
    unfinished: await migrationUnfinished(path),
  };
}

async function readMigration(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(join(path, migrationFile), 'utf8');
    return (JSON.parse(text) as { readonly backup: string }).backup;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function endMigration(path: string): Promise<void> {
  await rm(join(path, migrationFile));
  await syncPath(path);
}

async function backUp(path: string, format: number): Promise<string> {
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const backup = join(backups, `format-${format}-${time}-${process.pid}`);
  const target = join(path, backup);
  // Under another name until it is whole, so that nobody takes half of one for a backup.
  const aside = `${target}.part`;
  await mkdir(aside, { recursive: true });
  await copyEntries(path, aside);
  await rename(aside, target);
  await syncPath(join(path, backups));
  await syncPath(path);
  return backup;
}

async function restore(path: string, backup: string): Promise<void> {
  for (const name of await readdir(path)) {
    if (!notBackedUp.has(name)) await rm(join(path, name), { recursive: true });
  }
  await copyEntries(join(path, backup), path);
  await endMigration(path);
}

async function copyEntries(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) {
    if (notBackedUp.has(name)) continue;
    await cp(join(from, name), join(to, name), { recursive: true, preserveTimestamps: true });
  }
  await syncTree(to);
}

async function syncTree(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const at = join(path, entry.name);
    if (notBackedUp.has(entry.name)) continue;
    if (entry.isDirectory()) await syncTree(at);
    else if (entry.isFile()) await syncPath(at);
  }
  await syncPath(path);
}
