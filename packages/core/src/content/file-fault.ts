import { type ErrorDetails, isKeelsonError, KeelsonError } from '../errors.ts';

/** The code of an error that the operating system gave (`ENOSPC`); undefined for any other error. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Whether the operating system refused because what was named is not there. */
export function isMissing(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/**
 * `error` as a KeelsonError that names what was being done, the path and the remedy, the original as
 * its cause: EXHAUSTED for a full disk, quota or file table, UNAVAILABLE for what may not be written,
 * is on a read-only or failing medium, INVALID for a path that cannot be. KeelsonErrors, and errors
 * that do not come from the operating system, are given back as they are.
 */
export function fromFileError(error: unknown, doing: string, path: string): unknown {
  const system = systemCode(error);
  if (system === undefined || isKeelsonError(error)) return error;
  const [code, text] = explain(system, doing, path);
  const details: ErrorDetails = { path, system };
  return new KeelsonError(code, text, { cause: error, details });
}

function explain(system: string, doing: string, path: string): [KeelsonError['code'], string] {
  switch (system) {
    case 'ENOSPC':
      return [
        'EXHAUSTED',
        `The disk is full while ${doing} (${path}); nothing of it was kept. Free some space there, or move the directory to a larger disk, and try again.`,
      ];
    case 'EDQUOT':
      return [
        'EXHAUSTED',
        `The disk quota is used up while ${doing} (${path}); nothing of it was kept. Free some space or raise the quota, and try again.`,
      ];
    case 'EMFILE':
    case 'ENFILE':
      return [
        'EXHAUSTED',
        `Too many files are open while ${doing} (${path}). Close some, or raise the limit (ulimit -n), and try again.`,
      ];
    case 'EACCES':
    case 'EPERM':
      return [
        'UNAVAILABLE',
        `This user may not do this: ${doing} (${path}). Change the owner or the permissions of the directory, or name another one.`,
      ];
    case 'EROFS':
      return [
        'UNAVAILABLE',
        `The file system is read-only: ${doing} (${path}). Mount it writable, or name another directory.`,
      ];
    case 'ENOTDIR':
    case 'EEXIST':
    case 'EISDIR':
    case 'ELOOP':
    case 'ENAMETOOLONG':
      return [
        'INVALID',
        `${path} cannot be used for ${doing} (${system}): a part of the path is not a directory, or is too long. Name another one.`,
      ];
    case 'ENOENT':
      return [
        'UNAVAILABLE',
        `Something was removed from outside while ${doing} (${path}). Try again; leave the directory to Keelson.`,
      ];
    default:
      return [
        'UNAVAILABLE',
        `The system refused with ${system} while ${doing} (${path}). Check the disk, and try again.`,
      ];
  }
}
