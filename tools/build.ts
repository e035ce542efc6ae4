// Builds the packages into their `dist`: JavaScript by tsup, declarations by tsc; and the dashboard by Vite.
// Arguments name the packages to build (`@keelson/core`); without any, all are built.
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'tsup';
import {
  listEntryPoints,
  readWorkspacePackages,
  type WorkspacePackage,
  workspaceRoot,
} from './workspace-packages.ts';

const wanted = process.argv.slice(2);
const packages = readWorkspacePackages();
for (const name of wanted) {
  if (!packages.some((item) => item.name === name)) throw new Error(`No package is named ${name}.`);
}
for (const item of packages) {
  if (wanted.length > 0 && !wanted.includes(item.name)) continue;
  const startedAt = performance.now();
  rmSync(join(item.directory, 'dist'), { recursive: true, force: true });
  await buildJavaScript(item);
  emitDeclarations(item);
  buildPages(item);
  console.log(`${item.name} built in ${Math.round(performance.now() - startedAt)} ms`);
}

async function buildJavaScript(item: WorkspacePackage): Promise<void> {
  await build({
    config: false,
    silent: true,
    entry: { ...findEntryPoints(item), ...findWorkers(item) },
    outDir: join(item.directory, 'dist'),
    tsconfig: join(item.directory, 'tsconfig.build.json'),
    format: 'esm',
    target: 'node22.18',
    platform: 'node',
    splitting: true,
    sourcemap: true,
    clean: false,
    // Everything that is imported by name stays an import; `node:sqlite` has no other name.
    skipNodeModulesBundle: true,
    removeNodeProtocol: false,
    dts: false,
  });
}

/** Each subpath's source, under the name that its built file has in the exports map. */
function findEntryPoints(item: WorkspacePackage): Record<string, string> {
  const entries: Record<string, string> = {};
  for (const [subpath, conditions] of listEntryPoints(item)) {
    const file = /^\.\/dist\/([^/]+)\.js$/.exec(conditions.default)?.[1];
    if (file === undefined) {
      throw new Error(`${item.name} ${subpath}: ${conditions.default} does not lie flat in dist.`);
    }
    entries[file] = join(item.directory, conditions['keelson:source']);
  }
  for (const [command, path] of Object.entries(item.manifest.bin ?? {})) {
    entries[basename(path, '.js')] = join(item.directory, 'src', 'cli', `${command}.ts`);
  }
  return entries;
}

/**
 * Files that are started as a worker thread or a child process. A source names them relative to
 * itself, and bundling moves it, so all of dist lies flat and their names must differ.
 */
function findWorkers(item: WorkspacePackage): Record<string, string> {
  const workers: Record<string, string> = {};
  for (const path of globSync('src/**/*-{thread,child}.ts', { cwd: item.directory })) {
    const name = basename(path, '.ts');
    if (name in workers) {
      throw new Error(
        `${item.name} has two workers named ${name}; in dist they would be one file.`,
      );
    }
    workers[name] = join(item.directory, path);
  }
  return workers;
}

function emitDeclarations(item: WorkspacePackage): void {
  const compiler = join(workspaceRoot, 'node_modules', 'typescript', 'bin', 'tsc');
  const project = join(item.directory, 'tsconfig.build.json');
  const run = spawnSync(process.execPath, [compiler, '-p', project], { stdio: 'inherit' });
  if (run.status !== 0) throw new Error(`${item.name}: the declarations do not compile.`);
  nameBuiltFiles(item);
}

/** What a package shows in a browser, where it has such a thing. */
function buildPages(item: WorkspacePackage): void {
  const program = join(item.directory, 'dashboard', 'build.ts');
  if (!existsSync(program)) return;
  const args = ['--conditions=keelson:source', program];
  const run = spawnSync(process.execPath, args, { stdio: 'inherit' });
  if (run.status !== 0) throw new Error(`${item.name}: its pages do not build.`);
}

/** tsc leaves `./x.ts` in declarations; TypeScript reads that as `x.d.ts`, other tools do not. */
function nameBuiltFiles(item: WorkspacePackage): void {
  for (const path of globSync('dist/**/*.d.ts', { cwd: item.directory })) {
    const file = join(item.directory, path);
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace(/(['"])(\.{1,2}\/[^'"\n]+)\.ts\1/g, '$1$2.js$1'));
  }
}
