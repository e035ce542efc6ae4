/** What the tools read and write of a `package-lock.json`. */
export interface LockFile {
  packages: Record<string, LockEntry>;
}

/** One installed package; the key is its path. */
export interface LockEntry {
  version?: string;
  resolved?: string;
  link?: boolean;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

/** What keeps this lock file from installing on another machine, a sentence each. */
export function findLockFileFaults(lock: LockFile): readonly string[] {
  const named = Object.entries(lock.packages)
    .filter(([, { resolved }]) => resolved !== undefined && /^[a-z+]+:/.test(resolved))
    .map(([path, { resolved }]) => `${path} is bound to one host: ${resolved}`);
  const missing = listMissing(lock).map(
    ({ path, name, range }) => `${path} may need ${name}@${range}, which has no entry`,
  );
  return [...named, ...missing];
}

/**
 * Drops the hosts and adds an entry for each missing package of another platform, with what its
 * name says of it. Such an entry has no checksum; npm adds that when it next sees the package.
 */
export function completeLockFile(lock: LockFile): void {
  for (const entry of Object.values(lock.packages)) {
    if (entry.link !== true) delete entry.resolved;
  }
  for (const { path, name, range } of listMissing(lock)) {
    const platform = readPlatform(name);
    if (platform === undefined || !/^\d+\.\d+\.\d+\S*$/.test(range)) continue;
    const dev = lock.packages[path]?.dev === true ? { dev: true } : {};
    lock.packages[`node_modules/${name}`] = { version: range, ...dev, optional: true, ...platform };
  }
  const sorted = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en'));
  lock.packages = Object.fromEntries(sorted);
}

interface Missing {
  readonly path: string;
  readonly name: string;
  readonly range: string;
}

function listMissing(lock: LockFile): readonly Missing[] {
  return Object.entries(lock.packages).flatMap(([path, entry]) =>
    Object.entries(entry.optionalDependencies ?? {})
      .filter(([name]) => !resolves(lock, path, name))
      .map(([name, range]) => ({ path, name, range })),
  );
}

/** Whether a package at `path` would find `name` in its own or an outer node_modules. */
function resolves(lock: LockFile, path: string, name: string): boolean {
  const below = path === '' ? '' : `${path}/`;
  if (`${below}node_modules/${name}` in lock.packages) return true;
  if (path === '') return false;
  const outer = path.lastIndexOf('/node_modules/');
  return resolves(lock, outer < 0 ? '' : path.slice(0, outer), name);
}

const systems = 'aix android darwin freebsd linux netbsd openbsd openharmony sunos win32'.split(
  ' ',
);
const processors: Readonly<Record<string, string>> = {
  arm: 'arm',
  arm64: 'arm64',
  ia32: 'ia32',
  loong64: 'loong64',
  mips64el: 'mips64el',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  wasm32: 'wasm32',
  x64: 'x64',
};

/** Reads `@scope/tool-linux-x64-musl` and the like. */
function readPlatform(name: string): Pick<LockEntry, 'os' | 'cpu' | 'libc'> | undefined {
  const words = name.split(/[/-]/);
  const os = words.find((word) => systems.includes(word));
  const cpu = words.map((word) => processors[word]).find((word) => word !== undefined);
  if (os === undefined || cpu === undefined) return undefined;
  const libc = words.some((word) => word.startsWith('musl')) ? 'musl' : 'glibc';
  const hasLibc = os === 'linux' && words.some((word) => /^(musl|gnu)/.test(word));
  return { cpu: [cpu], ...(hasLibc ? { libc: [libc] } : {}), os: [os] };
}
