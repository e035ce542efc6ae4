import { KeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';
import type { StepArtifact } from '../step-artifact.ts';

/** The type of an artifact that stands for a directory: JSON that lists its files. */
export const directoryType = 'application/vnd.keelson.directory+json';

/** A file of a directory. */
export interface DirectoryFile {
  /** Below the directory, with `/`. */
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** The files of a directory. CORRUPT for a list that is none, or that leads out of the directory. */
export async function readDirectory(artifact: StepArtifact): Promise<readonly DirectoryFile[]> {
  const list = await artifact.json<JsonObject>();
  const files = list['files'] as unknown as readonly DirectoryFile[] | undefined;
  const sound =
    Array.isArray(files) &&
    files.every(({ path, sha256 }: DirectoryFile) => {
      const parts = String(path).split('/');
      const below = parts.every((part) => part !== '' && part !== '.' && part !== '..');
      return below && /^[0-9a-f]{64}$/.test(sha256);
    });
  if (sound) return files;
  throw new KeelsonError('CORRUPT', `The list of files of ${artifact.path} cannot be read.`);
}
