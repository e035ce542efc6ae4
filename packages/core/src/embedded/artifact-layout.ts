import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';

/** Where the files of an artifact directory lie. */
export interface ArtifactLayout {
  /** What is being written; never read. */
  readonly incoming: string;
  /** One directory a workspace, in each one a directory for the first two digits of the digests. */
  readonly spaces: string;
}

/** The files of an artifact directory. */
export function artifactLayout(dir: string): ArtifactLayout {
  return { incoming: join(dir, 'incoming'), spaces: join(dir, 'spaces') };
}

// Names that Windows keeps for devices.
const device = /^(con|prn|aux|nul|com\d|lpt\d)$/;

/**
 * The directory of a workspace: its name where that is harmless in every file system, otherwise `=`
 * and the SHA-256 of the name. No two workspaces share one. INVALID for what no workspace is called.
 */
export function workspaceDirectory(workspace: string): string {
  assertText(workspace, 'The workspace', 255);
  if (workspace === '') throw new KeelsonError('INVALID', 'The workspace has no name.');
  if (/^[a-z0-9][a-z0-9_-]{0,62}$/.test(workspace) && !device.test(workspace)) return workspace;
  return `=${createHash('sha256').update(workspace).digest('hex')}`;
}

/** Refuses, as INVALID, what is no lower-case hex SHA-256. */
export function assertDigest(sha256: unknown, label = 'The digest'): string {
  if (typeof sha256 === 'string' && isDigest(sha256)) return sha256;
  throw new KeelsonError(
    'INVALID',
    `${label} must be a SHA-256 as 64 lower-case hex digits, not ${JSON.stringify(sha256)?.slice(0, 100)}.`,
  );
}

/** Whether a text is a lower-case hex SHA-256. */
export function isDigest(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** The file of a content below the directory of its workspace. */
export function contentPath(space: string, sha256: string): string {
  return join(space, sha256.slice(0, 2), sha256);
}

/** The file of a content's manifest; contents of one chunk have none. */
export function manifestPath(space: string, sha256: string): string {
  return `${contentPath(space, sha256)}${manifestSuffix}`;
}

/** How the name of a manifest ends. */
export const manifestSuffix = '.chunks';
