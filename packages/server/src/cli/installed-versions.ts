import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** Packages that make up a platform; those that are not there are not used. */
const packageNames: readonly string[] = [
  '@keelson/core',
  '@keelson/server',
  '@keelson/serve',
  '@keelson/store-pg',
  '@keelson/store-s3',
  '@keelson/runner-docker',
];

/** Versions of the packages that are found from a directory, or else from here. */
export async function installedVersions(cwd: string): Promise<Readonly<Record<string, string>>> {
  const from = [createRequire(join(cwd, 'index.js')), createRequire(import.meta.url)];
  const found: Record<string, string> = {};
  for (const name of packageNames) {
    const path = from
      .map((require) => manifestPath(require, name))
      .find((one) => one !== undefined);
    if (path === undefined) continue;
    const { version } = JSON.parse(readFileSync(path, 'utf8')) as { readonly version?: string };
    if (version !== undefined) found[name] = version;
  }
  return found;
}

function manifestPath(require: NodeJS.Require, name: string): string | undefined {
  try {
    return require.resolve(`${name}/package.json`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}
