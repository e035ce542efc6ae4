import { z } from 'zod';
import { checkOptions, signalOption } from './check-options.ts';
import type { BackupProgress } from './contracts/backup.ts';
import type { NamedContents } from './contracts/caretaker.ts';
import { type BackupCheck, checkBackup } from './embedded/backup-check.ts';
import { type RestoreReport, restoreFromBackup } from './embedded/backup-restore.ts';
import { archiveContents } from './events/event-archives.ts';
import { assertText } from './json.ts';
import { checkpointContents } from './pipelines/checkpoints/step-checkpoints.ts';
import { outputContents } from './pipelines/step-outputs.ts';
import { registryContents } from './registry/references.ts';
import { artifactContents } from './tracking/purging.ts';

/** The records that name contents: all that a backup must hold. */
export const namedContents: readonly NamedContents[] = [
  artifactContents,
  ...registryContents,
  outputContents,
  checkpointContents,
  archiveContents,
];

/** How a backup is verified. */
export interface VerifyBackupOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: BackupProgress) => void;
}

/** How a backup is restored. */
export interface RestoreBackupOptions extends VerifyBackupOptions {
  /** The platform directory that is to be: absent, or empty. */
  readonly dir: string;
  /** Contents that are missing or damaged are left out, and named in the report, instead of refused. */
  readonly leaveOutDamaged?: boolean;
}

const verifyShape = z.strictObject({
  signal: signalOption.optional(),
  onProgress: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof VerifyBackupOptions, z.ZodType>);

const restoreShape = verifyShape.extend({
  dir: z.string().min(1),
  leaveOutDamaged: z.boolean().optional(),
} satisfies Record<Exclude<keyof RestoreBackupOptions, keyof VerifyBackupOptions>, z.ZodType>);

/**
 * Reads every byte of a backup that `platform.operations.backup` made, and names what is wrong with it;
 * `findings` is empty when it is whole. It needs no platform, and writes nothing. NOT_FOUND for what is no
 * finished backup, CORRUPT for a damaged manifest, INCOMPATIBLE for one of a newer version.
 */
export async function verifyBackup(
  dir: string,
  options: VerifyBackupOptions = {},
): Promise<BackupCheck> {
  checkOptions(verifyShape, options, 'verifyBackup');
  return await checkBackup(assertText(dir, 'The directory of a backup'), namedContents, options);
}

/**
 * Makes a platform directory of a backup, every digest checked on the way: `restoreBackup('/backups/monday',
 * { dir: '.keelson' })`. It appears under its name when it is whole. CONFLICT for a directory that is not
 * empty; CORRUPT, and nothing left behind, when the backup is damaged; else as {@link verifyBackup}.
 */
export async function restoreBackup(
  backup: string,
  options: RestoreBackupOptions,
): Promise<RestoreReport> {
  checkOptions(restoreShape, options, 'restoreBackup');
  const from = assertText(backup, 'The directory of a backup');
  return await restoreFromBackup(from, namedContents, options);
}
