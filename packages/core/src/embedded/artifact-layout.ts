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
