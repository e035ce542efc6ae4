/**
 * The path of a file that `path` names relative to its own directory: `undefined` where it leaves the model's
 * directory, is absolute or an address.
 */
export function siblingPath(path: string, name: string): string | undefined {
  if (name === '' || name.startsWith('/') || /^[a-z][a-z0-9+.-]*:/i.test(name)) return undefined;
  const parts = path.split('/').slice(0, -1);
  for (const part of name.split(/[/\\]/)) {
    if (part === '..') {
      if (parts.pop() === undefined) return undefined;
    } else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.length === 0 ? undefined : parts.join('/');
}

/** The directory of a path with its final `/`; empty for one at the top. */
export function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1);
}
