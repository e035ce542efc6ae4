/** How to run npm: the very one that runs this script, else the one on the PATH. */
export function npmCommand(...args: readonly string[]): [file: string, args: string[]] {
  const script = process.env.npm_execpath;
  if (script !== undefined && /npm-cli\.[cm]?js$/.test(script)) {
    return [process.execPath, [script, ...args]];
  }
  return ['npm', [...args]];
}
