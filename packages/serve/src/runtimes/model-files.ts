import { readdir, realpath } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { ModelFault } from './model-fault.ts';

/** The real path of a file of the model, which must lie within its directory. */
export async function modelFile(directory: string, file: string): Promise<string> {
  let path: string;
  let root: string;
  try {
    root = await realpath(directory);
    path = await realpath(join(root, file));
  } catch (error) {
    throw new ModelFault('FAILED', `Model file ${file} is missing in ${directory}.`, {
      cause: error,
    });
  }
  const inside = relative(root, path);
  if (inside.startsWith(`..${sep}`) || inside === '..' || inside === '') {
    throw new ModelFault(
      'FAILED',
      `Model file ${file} lies outside the model's directory ${directory}.`,
    );
  }
  return path;
}

/**
 * The file of a model that is a single one: the one that is named, or `preferred`, or the only one that `matches`,
 * relative to the directory. ModelFault (FAILED) where there is none, or several to choose from.
 */
export async function soleModelFile(
  directory: string,
  named: string | undefined,
  preferred: string,
  matches: RegExp,
): Promise<string> {
  if (named !== undefined) return named;
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const found = entries
    .filter((entry) => !entry.isDirectory() && matches.test(entry.name))
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
  if (found.includes(preferred)) return preferred;
  const [only, ...others] = found;
  if (only === undefined) {
    throw new ModelFault('FAILED', `Model file ${preferred} is missing in ${directory}.`);
  }
  if (others.length > 0) {
    throw new ModelFault(
      'FAILED',
      `There are several model files in ${directory} (${found.slice(0, 5).join(', ')}): name one by "file" in keelson-model.json.`,
    );
  }
  return only;
}
