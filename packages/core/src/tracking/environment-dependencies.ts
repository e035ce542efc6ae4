import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { type Json, type JsonObject, storableText } from '../json.ts';
import { bytesOf, contentOf, exists } from '../look-around.ts';

const maxVersions = 500;

/** The lock file at or above `from`, and what is installed of what package.json names. */
export async function captureDependencies(from: string): Promise<JsonObject | undefined> {
  const facts: Record<string, Json> = {};
  for (const directory of upwards(from)) {
    for (const name of ['package-lock.json', 'pnpm-lock.yaml', 'yarn.lock', 'bun.lock']) {
      const bytes = await bytesOf(join(directory, name));
      if (bytes === undefined) continue;
      facts['lockFile'] = name;
      facts['sha256'] = createHash('sha256').update(bytes).digest('hex');
      const versions = await installedVersions(from);
      if (Object.keys(versions).length > 0) facts['versions'] = versions;
      return facts;
    }
    // A lock file above the repository is another project's.
    if (await exists(join(directory, '.git'))) return undefined;
  }
  return undefined;
}

async function installedVersions(from: string): Promise<Record<string, string>> {
  const directories = [...upwards(from)];
  for (const directory of directories) {
    const manifest = parsed(await contentOf(join(directory, 'package.json')));
    if (manifest === undefined) continue;
    const names = ['dependencies', 'optionalDependencies', 'peerDependencies', 'devDependencies']
      .flatMap((group) => Object.keys((manifest[group] as object | undefined) ?? {}))
      .slice(0, maxVersions);
    const found = await Promise.all(
      names.map(async (name) => [name, await versionOf(name, directories)] as const),
    );
    return Object.fromEntries(
      found.filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
  }
  return {};
}

async function versionOf(
  name: string,
  directories: readonly string[],
): Promise<string | undefined> {
  for (const directory of directories) {
    const manifest = parsed(await contentOf(join(directory, 'node_modules', name, 'package.json')));
    const version = manifest?.['version'];
    if (typeof version === 'string') return storableText(version, 200);
  }
  return undefined;
}

function* upwards(from: string): Iterable<string> {
  for (let at = from; ; at = dirname(at)) {
    yield at;
    if (dirname(at) === at) return;
  }
}

function parsed(text: string | undefined): Record<string, unknown> | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    // Somebody's broken manifest is nothing that a run should fail of.
    return undefined;
  }
}
