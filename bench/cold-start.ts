import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'tsup';
import type { BenchContext } from './benchmark.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1 },
  usual: { rounds: 15 },
  full: { rounds: 31 },
};
const root = fileURLToPath(new URL('..', import.meta.url));
const source = fileURLToPath(new URL('../packages/core/src/index.ts', import.meta.url));

/**
 * Fresh processes from their start to their end: `openPlatform()` and `close()` on a new directory and on
 * one that is there, as packages ship it (one bundle of JavaScript) and from this workspace's sources;
 * beside a process that does nothing and one that opens a SQLite file.
 */
export async function benchColdStart(context: BenchContext): Promise<Row[]> {
  const { rounds } = sizes[context.scale];
  context.tell('cold start: building the package');
  const built = await buildCore();
  try {
    const existing = join(context.dir, 'existing');
    let fresh = 0;
    const open = (index: string, dir: string): Promise<number> =>
      processMs(
        `const { openPlatform } = await import(${JSON.stringify(pathToFileURL(index))});
         await (await openPlatform({ dir: ${JSON.stringify(dir)} })).close();`,
      );
    const index = join(built, 'index.js');
    await open(index, existing);
    const times = await inTurns(
      rounds,
      {
        nothing: () => processMs(''),
        sqlite: () => processMs(bareScript(join(context.dir, 'bare.db'))),
        existing: () => open(index, existing),
        fresh: () => open(index, join(context.dir, `fresh-${++fresh}`)),
        source: () => open(source, existing),
        import: () => processMs(`await import(${JSON.stringify(pathToFileURL(index))})`),
      },
      (round) => context.tell(`cold start: round ${round} of ${rounds}`),
    );
    const nothing = { name: `node -e ''`, values: times.nothing };
    const sqlite = { name: 'opening a file with node:sqlite', values: times.sqlite };
    return [
      rowOf('process with openPlatform(), known directory', 'ms', times.existing, nothing),
      rowOf('process with openPlatform(), known directory', 'ms', times.existing, sqlite),
      rowOf('process with openPlatform(), new directory', 'ms', times.fresh, sqlite),
      rowOf('process that imports @keelson/core alone', 'ms', times.import, nothing),
      rowOf('the same from TypeScript sources, known directory', 'ms', times.source, sqlite),
    ];
  } finally {
    await rm(built, { recursive: true, force: true });
  }
}

/** Built inside the workspace, where its dependencies are found. */
async function buildCore(): Promise<string> {
  await mkdir(join(root, '.bench'), { recursive: true });
  const outDir = await mkdtemp(join(root, '.bench', 'core-'));
  await build({
    config: false,
    silent: true,
    entry: { index: source },
    outDir,
    tsconfig: join(root, 'packages/core/tsconfig.build.json'),
    format: 'esm',
    target: 'node22.18',
    platform: 'node',
    skipNodeModulesBundle: true,
    removeNodeProtocol: false,
    dts: false,
  });
  return outDir;
}

function bareScript(path: string): string {
  return `const { DatabaseSync } = await import('node:sqlite');
    const database = new DatabaseSync(${JSON.stringify(path)});
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS t (a)');
    database.close();`;
}

async function processMs(script: string): Promise<number> {
  return elapsedMs(async () => {
    const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module'];
    const child = spawn(process.execPath, [...flags, '-e', script], {
      stdio: ['ignore', 'ignore', 'inherit'],
      // Packages that the platform imports by name shall be the built ones as well.
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0) throw new Error(`The process ended with ${code}: ${script}`);
  });
}
