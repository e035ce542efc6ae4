import { readdir } from 'node:fs/promises';
import { join, relative as relativePath, sep } from 'node:path';
import { type ErrorCode, isKeelsonError, KeelsonError } from '../errors.ts';

/** What lies below a local directory. */
export interface LocalTree {
  /** By path ascending; `relative` has `/` between its parts. */
  readonly files: readonly { readonly file: string; readonly relative: string }[];
  /** Links, pipes, sockets and devices, by path ascending: they are neither followed nor opened. */
  readonly leftOut: readonly string[];
}

/** The files below a local directory, and what else is there. */
export async function filesBelow(directory: string): Promise<LocalTree> {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    const placed = entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => {
        const file = join(entry.parentPath, entry.name);
        const relative = relativePath(directory, file).split(sep).join('/');
        return { file, relative, plain: entry.isFile() };
      })
      .sort((a, b) => (a.relative < b.relative ? -1 : 1));
    return {
      files: placed.filter(({ plain }) => plain).map(({ file, relative }) => ({ file, relative })),
      leftOut: placed.filter(({ plain }) => !plain).map(({ relative }) => relative),
    };
  } catch (error) {
    throw asKeelsonError(error, `The directory ${String(directory)} cannot be read`);
  }
}

const codes: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'NOT_FOUND',
  ENOTDIR: 'INVALID',
  EISDIR: 'INVALID',
  EEXIST: 'INVALID',
  ENAMETOOLONG: 'INVALID',
  ENOSPC: 'EXHAUSTED',
  EDQUOT: 'EXHAUSTED',
};

/** What the operating system refused, by name and with a code; other errors as they are. */
export function asKeelsonError(error: unknown, what: string): unknown {
  const system = (error as NodeJS.ErrnoException | undefined)?.code;
  if (isKeelsonError(error) || !(error instanceof Error) || typeof system !== 'string')
    return error;
  const code = Object.hasOwn(codes, system) ? codes[system] : undefined;
  return new KeelsonError(
    code ?? 'UNAVAILABLE',
    `${what} (${system}): ${error.message.replace(`${system}: `, '')}.`,
    {
      cause: error,
      details: { system },
    },
  );
}
