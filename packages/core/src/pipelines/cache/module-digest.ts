import { createHash } from 'node:crypto';
import { readFile, realpath, stat } from 'node:fs/promises';
import { createRequire, isBuiltin, stripTypeScriptTypes } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { init, parse } from 'es-module-lexer';
import { KeelsonError } from '../../errors.ts';

/** What a module's code comes to. */
export type ModuleCode =
  | { readonly digest: string; readonly files: number }
  /** Why it cannot be told. */
  | { readonly unknown: string };

/** What a file of code is. */
export interface CodeFile {
  readonly identity: string;
  readonly sha256: string;
  /** What it imports at once. */
  readonly imports: readonly string[];
  /** What it imports when it comes to that. */
  readonly lazyImports: readonly string[];
  /** Why it cannot be told what it imports. */
  readonly unknown?: string;
}

/** The files of a module. */
export interface ModuleGraph {
  readonly entry: string;
  readonly files: ReadonlyMap<string, { readonly facts: CodeFile; readonly lazy: boolean }>;
  readonly packages: ReadonlySet<string>;
  readonly unknown?: string;
}

const lockFiles = [
  'package-lock.json',
  'npm-shrinkwrap.json',
  'pnpm-lock.yaml',
  'yarn.lock',
  'bun.lock',
];
const endings = ['', '.ts', '.mts', '.js', '.mjs', '.cjs', '.json', '/index.ts', '/index.js'];
const maxFiles = 5000;

/**
 * Digests of the code that modules are: of the files that they import, directly or not, and of the lock file
 * for what comes from packages. A file is read again when its size or time has changed.
 */
export class ModuleDigests {
  readonly #facts = new Map<string, CodeFile>();

  /**
   * Of the module at a URL, whose files are what `read` says, as they lie on the disk when left out. NOT_FOUND,
   * naming it, for a file that is not there.
   */
  async of(location: string, read?: (file: string) => Promise<CodeFile>): Promise<ModuleCode> {
    if (!location.startsWith('file:')) return this.#packageCode(location, process.cwd(), read);
    const { entry, files, packages, unknown } = await this.graph(location, read);
    if (unknown !== undefined) return { unknown };
    const root = dirname(entry);
    const lock = packages.size === 0 ? '' : await lockDigest(root);
    // By their places below the entry, so that two machines agree.
    const parts = [...files].map(([file, { facts }]) => [relativeTo(root, file), facts.sha256]);
    const whole = JSON.stringify([parts.toSorted(byFirst), [...packages].toSorted(), lock]);
    return { digest: sha256Of(whole), files: files.size };
  }

  /** The files of the module, as far as they can be found where some cannot. */
  async graph(
    location: string,
    read: (file: string) => Promise<CodeFile> = (file) => this.read(file),
  ): Promise<ModuleGraph> {
    await init;
    const entry = await realFile(fileURLToPath(location));
    if (entry === undefined) {
      throw new KeelsonError('NOT_FOUND', `The module ${location} of the step is not there.`);
    }
    const files = new Map<string, { facts: CodeFile; lazy: boolean }>();
    const packages = new Set<string>();
    let unknown: string | undefined;
    const walk = async (open: string[], lazy: boolean): Promise<readonly string[]> => {
      const later: string[] = [];
      for (const file of open) {
        if (files.has(file)) continue;
        if (files.size >= maxFiles) {
          unknown ??= `it imports more than ${maxFiles} files`;
          break;
        }
        const facts = await read(file);
        unknown ??= facts.unknown;
        files.set(file, { facts, lazy });
        for (const specifier of [...facts.imports, ...facts.lazyImports]) {
          if (isBuiltin(specifier)) continue;
          const found = await locate(specifier, file);
          if (found === undefined) unknown ??= `${file} imports ${specifier}, which is not found`;
          else if ('package' in found) packages.add(found.package);
          else if (lazy || facts.imports.includes(specifier)) open.push(found.file);
          else later.push(found.file);
        }
      }
      return later;
    };
    const lazyFiles = await walk([entry], false);
    await walk([...lazyFiles], true);
    return { entry, files, packages, ...(unknown === undefined ? {} : { unknown }) };
  }

  async #packageCode(
    specifier: string,
    from: string,
    read: ((file: string) => Promise<CodeFile>) | undefined,
  ): Promise<ModuleCode> {
    const found = await locate(specifier, join(from, 'x.js'));
    if (found === undefined) return { unknown: `there is no package ${specifier}` };
    if ('file' in found) return this.of(pathToFileURL(found.file).href, read);
    return {
      digest: sha256Of(`${found.package} ${specifier} ${await lockDigest(from)}`),
      files: 0,
    };
  }

  /** A file as it lies on the disk. */
  async read(file: string): Promise<CodeFile> {
    const { size, mtimeMs, ino } = await stat(file);
    const identity = `${size}:${mtimeMs}:${ino}`;
    const known = this.#facts.get(file);
    if (known?.identity === identity) return known;
    const source = await readFile(file, 'utf8');
    const facts: CodeFile = { identity, sha256: sha256Of(source), ...importsOf(file, source) };
    if (this.#facts.size > 20_000) this.#facts.clear();
    this.#facts.set(file, facts);
    return facts;
  }
}

function importsOf(
  file: string,
  source: string,
): Pick<CodeFile, 'imports' | 'lazyImports' | 'unknown'> {
  const none = { imports: [], lazyImports: [] };
  if (file.endsWith('.json')) return none;
  let code: string;
  let found: ReturnType<typeof parse>;
  try {
    code = /\.[cm]?ts$/.test(file) ? stripTypeScriptTypes(source) : source;
    found = parse(code, file);
  } catch (error) {
    return { ...none, unknown: `${file} cannot be read: ${(error as Error).message}` };
  }
  const imports: string[] = [];
  const lazyImports: string[] = [];
  let unknown: string | undefined;
  for (const each of found[0]) {
    // `import.meta`
    if (!('specifier' in each)) continue;
    const name = each.specifier;
    if (name === undefined || name === null || ('glob' in each && each.glob)) {
      unknown ??= `${file} imports something that is computed`;
    } else (each.type === 'dynamic' ? lazyImports : imports).push(name);
  }
  for (const [, name] of code.matchAll(/\brequire\(\s*['"]([^'"]+)['"]\s*\)/g)) {
    if (name !== undefined) lazyImports.push(name);
  }
  return { imports, lazyImports, ...(unknown === undefined ? {} : { unknown }) };
}

type Located = { readonly file: string } | { readonly package: string };

async function locate(specifier: string, from: string): Promise<Located | undefined> {
  const local =
    specifier.startsWith('.') || specifier.startsWith('/') || specifier.startsWith('file:');
  if (local) {
    const path = specifier.startsWith('file:')
      ? fileURLToPath(specifier)
      : resolve(dirname(from), specifier);
    for (const ending of endings) {
      const file = await realFile(`${path}${ending}`);
      if (file !== undefined) return { file };
    }
    // TypeScript's habit of naming what will be built.
    const source = await realFile(path.replace(/\.([cm]?)js$/, '.$1ts'));
    return source === undefined ? undefined : { file: source };
  }
  return locatePackage(specifier, from);
}

async function locatePackage(specifier: string, from: string): Promise<Located | undefined> {
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
  for (let at = dirname(from); ; at = dirname(at)) {
    const dir = join(at, 'node_modules', name);
    const manifest = await readFile(join(dir, 'package.json'), 'utf8').catch(() => undefined);
    if (manifest !== undefined) {
      const real = await realpath(dir);
      // A package of the same work space: its files count themselves, as they change without a version.
      if (!real.includes('/node_modules/')) {
        const file = await entryOf(specifier, from);
        if (file !== undefined) return { file };
      }
      const { version } = JSON.parse(manifest) as { readonly version?: string };
      return { package: `${name}@${version ?? ''}` };
    }
    if (at === dirname(at)) return undefined;
  }
}

async function entryOf(specifier: string, from: string): Promise<string | undefined> {
  try {
    return await realFile(createRequire(from).resolve(specifier));
  } catch {
    return undefined;
  }
}

async function realFile(path: string): Promise<string | undefined> {
  try {
    const file = await realpath(path);
    return (await stat(file)).isFile() ? file : undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function lockDigest(from: string): Promise<string> {
  for (let at = from; ; at = dirname(at)) {
    for (const name of lockFiles) {
      const text = await readFile(join(at, name), 'utf8').catch(() => undefined);
      if (text !== undefined) return sha256Of(text);
    }
    if (at === dirname(at)) return '';
  }
}

function relativeTo(root: string, file: string): string {
  return file.startsWith(`${root}/`) ? file.slice(root.length + 1) : file;
}

function byFirst(a: readonly string[], b: readonly string[]): number {
  return (a[0] ?? '') < (b[0] ?? '') ? -1 : 1;
}

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
