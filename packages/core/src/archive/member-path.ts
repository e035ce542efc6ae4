import { KeelsonError } from '../errors.ts';

const part = '[A-Za-z0-9][A-Za-z0-9._-]*';
const grammar = new RegExp(`^${part}(/${part})*$`);
/** What a tar header has room for. */
const maxLength = 100;

/**
 * Refuses, as INVALID and by name, what is no path of a member: one is relative, of letters, digits, dots,
 * dashes and underscores, no part beginning with a dot, at most 100 characters. So no member can lie
 * outside its archive, on any system.
 */
export function assertMemberPath(path: string, where: string): string {
  if (path.length <= maxLength && grammar.test(path)) return path;
  throw new KeelsonError(
    'INVALID',
    `${where} has a member named ${shown(path)}, which no export has; it was made by something else, or tampered with. Nothing of it was taken.`,
    { details: { archive: where, member: path.slice(0, 1_000) } },
  );
}

/** A path of anywhere, for a message. */
export function shown(path: string): string {
  return JSON.stringify(path.length > 100 ? `${path.slice(0, 100)}…` : path);
}
