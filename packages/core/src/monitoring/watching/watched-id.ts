const prefix = 'watch:';

/** Under which id a watched function is found, as a deployment is under its own. */
export function watchedId(name: string): string {
  return `${prefix}${name}`;
}

/** The name of the watched function with that id; undefined for the id of a deployment. */
export function watchedName(id: string): string | undefined {
  return id.startsWith(prefix) ? id.slice(prefix.length) : undefined;
}
