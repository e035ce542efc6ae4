import { createHash } from 'node:crypto';
import { z } from 'zod';
import { KeelsonError } from '../errors.ts';
import { assertMemberPath } from './member-path.ts';

/** One file of an archive. */
export interface ArchiveMember {
  readonly path: string;
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/** What an archive says of itself: what it holds, and the digest of each of its members. */
export interface Manifest {
  /** What is in it, such as `experiments`. */
  readonly holds: string;
  /** By path ascending; the manifest itself is not among them. */
  readonly members: readonly ArchiveMember[];
}

/** Where the manifest lies in an archive. */
export const manifestPath = 'manifest.json';

/** The format that this version writes, and the newest that it reads. */
const archiveFormat = 1;

/** No archive of a sane size has a larger one. */
export const maxManifestBytes: number = 256 * 1024 * 1024;

const shape = z.strictObject({
  keelson: z.string(),
  format: z.literal(archiveFormat),
  members: z.array(
    z.strictObject({
      path: z.string(),
      sizeBytes: z.number().int().min(0),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
  sha256: z.string(),
});

/** The one text of a manifest: equal manifests have equal bytes, and each byte counts. */
export function renderManifest({ holds, members }: Manifest): string {
  const lines = members.map(({ path, sizeBytes, sha256 }) =>
    JSON.stringify({ path, sizeBytes, sha256 }),
  );
  const list = lines.length === 0 ? '[]' : `[\n${lines.join(',\n')}\n]`;
  const text = `{\n"keelson": ${JSON.stringify(holds)},\n"format": ${archiveFormat},\n"members": ${list},\n`;
  const sha256 = createHash('sha256').update(text).digest('hex');
  return `${text}"sha256": "${sha256}"\n}\n`;
}

/**
 * Reads a manifest. INCOMPATIBLE for a newer format, CORRUPT when a byte of it is not as it was written,
 * INVALID for members that no archive may have.
 */
export function readManifest(bytes: Uint8Array, where: string): Manifest {
  const text = Buffer.from(bytes).toString('utf8');
  const value = parsed(text, where);
  assertKnownFormat(value, where);
  const checked = shape.safeParse(value);
  if (!checked.success) throw damaged(where, checked.error);
  const { keelson: holds, members } = checked.data;
  if (renderManifest({ holds, members }) !== text) throw damaged(where);
  let before = '';
  for (const { path } of members) {
    assertMemberPath(path, where);
    if (path <= before || path === manifestPath) {
      throw new KeelsonError('INVALID', `The manifest of ${where} names ${path} out of order.`, {
        details: { archive: where, member: path },
      });
    }
    before = path;
  }
  return { holds, members };
}

function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw damaged(where, error);
  }
}

function assertKnownFormat(value: unknown, where: string): void {
  const format = (value as { readonly format?: unknown } | null)?.format;
  if (typeof format !== 'number' || !Number.isSafeInteger(format) || format <= archiveFormat)
    return;
  throw new KeelsonError(
    'INCOMPATIBLE',
    `${manifestPath} of ${where} has format ${format}; this version of @keelson/core reads format ${archiveFormat}. Install a newer version, or export again with this one.`,
    { details: { archive: where, format, known: archiveFormat } },
  );
}

function damaged(where: string, cause?: unknown): KeelsonError {
  return new KeelsonError(
    'CORRUPT',
    `${manifestPath} of ${where} is not as it was written; copy the export anew from where it was made.`,
    { cause, details: { archive: where, member: manifestPath } },
  );
}
