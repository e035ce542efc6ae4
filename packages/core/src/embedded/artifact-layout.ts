import { join } from 'node:path';

/** Where the files of an artifact directory lie. */
export interface ArtifactLayout {
  /** What is being written; never read. */
  readonly incoming: string;
  /** What is being removed: put back unless its removal is over. */
  readonly removing: string;
  /** One directory a workspace, in each one a directory for the first two digits of the digests. */
  readonly spaces: string;
}

/** The files of an artifact directory. */
export function artifactLayout(dir: string): ArtifactLayout {
  return {
    incoming: join(dir, 'incoming'),
    removing: join(dir, 'removing'),
    spaces: join(dir, 'spaces'),
  };
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
