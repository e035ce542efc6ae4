import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A package of this workspace that is published. */
export interface WorkspacePackage {
  readonly name: string;
  readonly directory: string;
  readonly manifest: PackageManifest;
}

/** What the tools read of a `package.json`. */
export interface PackageManifest {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  /** Commands by name; each is built of the source of its name in the room `cli`. */
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | ExportConditions>>;
}

/** The three conditions of each subpath, in this order. */
export interface ExportConditions {
  readonly 'keelson:source': string;
  readonly types: string;
  readonly default: string;
}

/** The directory that holds the root `package.json`. */
export const workspaceRoot: string = fileURLToPath(new URL('..', import.meta.url));

/** The packages under `packages/` that have sources, each after those it depends on. */
export function readWorkspacePackages(): readonly WorkspacePackage[] {
  const directory = join(workspaceRoot, 'packages');
  const found = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(directory, entry.name, 'src')))
    .map((entry) => readPackage(join(directory, entry.name)));
  const sorted: WorkspacePackage[] = [];
  const place = (item: WorkspacePackage, path: readonly string[]): void => {
    if (sorted.includes(item)) return;
    if (path.includes(item.name)) {
      throw new Error(
        `Packages depend on each other in a circle: ${[...path, item.name].join(' → ')}`,
      );
    }
    for (const name of Object.keys(item.manifest.dependencies ?? {})) {
      const dependency = found.find((other) => other.name === name);
      if (dependency !== undefined) place(dependency, [...path, item.name]);
    }
    sorted.push(item);
  };
  for (const item of found) place(item, []);
  return sorted;
}

/** The subpaths of a package that hold code, with their conditions. */
export function listEntryPoints(item: WorkspacePackage): readonly [string, ExportConditions][] {
  return Object.entries(item.manifest.exports).filter(
    (entry): entry is [string, ExportConditions] => typeof entry[1] !== 'string',
  );
}

function readPackage(directory: string): WorkspacePackage {
  const text = readFileSync(join(directory, 'package.json'), 'utf8');
  const manifest = JSON.parse(text) as PackageManifest;
  return { name: manifest.name, directory, manifest };
}
