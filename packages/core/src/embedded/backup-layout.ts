import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { isMissing } from '../content/file-fault.ts';
import { KeelsonError } from '../errors.ts';

/** The file that makes a directory a backup: written last, so that half of one is none. */
export const manifestFile = 'backup.json';
/** What marks a backup that is being written, or whose writer was ended. */
export const unfinishedFile = 'backup-unfinished';
/** The database, and the directory of the contents, as in a platform directory. */
export const databaseFile = 'keelson.db';
export const contentsDirectory = 'artifacts';

/** What a backup says of itself. */
export interface BackupManifest {
  readonly kind: 'keelson-backup';
  readonly version: 1;
  /** The format of the platform directory. */
  readonly format: number;
  /** Epoch ms: the backup holds all that was committed before, and maybe some of what came just after. */
  readonly at: number;
  readonly database: { readonly sha256: string; readonly sizeBytes: number };
  readonly contents: { readonly count: number; readonly bytes: number };
  /** Contents that records name and that were missing or damaged already when the backup was made. */
  readonly lacking: readonly {
    readonly workspace: string;
    readonly sha256: string;
    readonly by: string;
    readonly problem: string;
  }[];
}

const manifestShape = z.object({
  kind: z.literal('keelson-backup'),
  version: z.literal(1),
  format: z.number().int().min(1),
  at: z.number(),
  database: z.object({ sha256: z.string(), sizeBytes: z.number() }),
  contents: z.object({ count: z.number(), bytes: z.number() }),
  lacking: z.array(
    z.object({
      workspace: z.string(),
      sha256: z.string(),
      by: z.string(),
      problem: z.string(),
    }),
  ),
} satisfies Record<keyof BackupManifest, z.ZodType>);

/**
 * What a backup says of itself. NOT_FOUND for a directory that is no backup, or one that was not
 * finished; CORRUPT for a damaged manifest, INCOMPATIBLE for one of a newer version.
 */
export async function readManifest(dir: string): Promise<BackupManifest> {
  const file = join(dir, manifestFile);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw new KeelsonError(
      'NOT_FOUND',
      `${dir} holds no finished backup (there is no ${manifestFile}). A backup that was broken off goes on when it is made again into the same directory.`,
      { details: { path: dir } },
    );
  }
  const manifest = parsed(text);
  if ((manifest as { readonly version?: unknown } | undefined)?.version !== 1) {
    const known = manifest !== undefined;
    throw new KeelsonError(
      known ? 'INCOMPATIBLE' : 'CORRUPT',
      known
        ? `${file} is of a newer version of Keelson; read this backup with that.`
        : `${file} is damaged: it is no JSON object. Take another backup.`,
      { details: { path: file } },
    );
  }
  const checked = manifestShape.safeParse(manifest);
  if (checked.success) return checked.data;
  throw new KeelsonError('CORRUPT', `${file} is damaged: ${z.prettifyError(checked.error)}.`, {
    cause: checked.error,
    details: { path: file },
  });
}

/** Digest and size of a file. */
export async function digestOf(
  file: string,
  signal: AbortSignal | undefined,
): Promise<{ readonly sha256: string; readonly sizeBytes: number }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const stream = createReadStream(file, {
    highWaterMark: 2 ** 20,
    ...(signal === undefined ? {} : { signal }),
  });
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    hash.update(chunk);
    sizeBytes += chunk.length;
  }
  return { sha256: hash.digest('hex'), sizeBytes };
}

function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
