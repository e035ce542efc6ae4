// Checks the packages as their users get them: the packed tarballs of what was last built.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { npmCommand } from './npm-command.ts';
import {
  listEntryPoints,
  readWorkspacePackages,
  type WorkspacePackage,
  workspaceRoot,
} from './workspace-packages.ts';

const modules = join(workspaceRoot, 'node_modules');
const packages = readWorkspacePackages();
const temporary = mkdtempSync(join(tmpdir(), 'keelson-packages-'));
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));

const tarballs = packages.map(pack);
for (const tarball of tarballs) {
  const attw = join(modules, '@arethetypeswrong', 'cli', 'dist', 'index.js');
  run(temporary, join(modules, 'publint', 'src', 'cli.js'), ['run', tarball, '--strict']);
  run(temporary, attw, [tarball, '--profile', 'esm-only', '--no-emoji']);
}
const project = installInEmptyProject();
run(project, join(project, 'smoke-test.mjs'), subpaths());
compileConsumer();
console.log(
  `${packages.map(({ name }) => name).join(', ')}: packed, installed, imported, compiled`,
);

function pack(item: WorkspacePackage): string {
  for (const [subpath, conditions] of listEntryPoints(item)) {
    for (const file of [conditions.types, conditions.default]) {
      if (existsSync(join(item.directory, file))) continue;
      fail(`${item.name} ${subpath} points to ${file}, which is not there. Build first.`);
    }
  }
  const [file, args] = npmCommand('pack', '--json', '--ignore-scripts');
  const result = spawnSync(file, [...args, '--pack-destination', temporary, '--loglevel=error'], {
    cwd: item.directory,
    encoding: 'utf8',
  });
  if (result.status !== 0) fail(`${item.name} cannot be packed: ${result.stderr}`);
  const [packed] = Object.values(JSON.parse(result.stdout) as Record<string, PackResult>);
  if (packed === undefined) fail(`npm pack of ${item.name} named no tarball.`);
  console.log(`${packed.filename}: ${packed.entryCount} files, ${packed.size} bytes`);
  return join(temporary, packed.filename);
}

interface PackResult {
  readonly filename: string;
  readonly entryCount: number;
  readonly size: number;
}

function subpaths(): string[] {
  return packages.flatMap((item) =>
    listEntryPoints(item).map(([subpath]) => item.name + subpath.slice(1)),
  );
}

/** Installs the tarballs and the peers that whole subpaths need, with every install script blocked. */
function installInEmptyProject(): string {
  const directory = mkdtempSync(join(temporary, 'project-'));
  writeFileSync(join(directory, 'package.json'), '{ "private": true, "type": "module" }\n');
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
  const types = ['@types/node@24', 'typescript-5@npm:typescript@5.9'];
  const peers = ['fast-check@4'];
  const [file, args] = npmCommand('install', '--loglevel=error', ...options);
  const result = spawnSync(file, [...args, ...tarballs, ...peers, ...types], {
    cwd: directory,
    stdio: 'inherit',
    env: environmentOfUsers(),
  });
  if (result.status !== 0) fail('The tarballs do not install in an empty project.');
  copyFileSync(join(workspaceRoot, 'tools', 'smoke-test.mjs'), join(directory, 'smoke-test.mjs'));
  return directory;
}

/** Compiles a program that uses every subpath, checking our declarations and all they import. */
function compileConsumer(): void {
  const imports = subpaths().map((name, index) => `import * as part${index} from '${name}';\n`);
  const list = imports.map((_, index) => `part${index}`).join(', ');
  const program = `${imports.join('')}export const parts: object[] = [${list}];\n`;
  writeFileSync(join(project, 'consumer.ts'), program);
  const strict = ['--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false'];
  const platform = ['--target', 'es2022', '--lib', 'es2024,esnext.disposable', '--types', 'node'];
  for (const compiler of ['typescript', 'typescript-5']) {
    const home = join(
      compiler === 'typescript' ? modules : join(project, 'node_modules'),
      compiler,
    );
    for (const module of [['nodenext'], ['preserve', '--moduleResolution', 'bundler']]) {
      const options = [...strict, ...platform, '--noEmit', '--module', ...module];
      run(project, join(home, 'bin', 'tsc'), [...options, 'consumer.ts']);
    }
  }
}

/** Runs a script on Node without the workspace's conditions; ends this process if it fails. */
function run(cwd: string, script: string, args: readonly string[]): void {
  const result = spawnSync(process.execPath, [script, ...args], {
    cwd,
    encoding: 'utf8',
    env: environmentOfUsers(),
  });
  if (result.status === 0) return;
  const output = [result.stdout, result.stderr].join('\n').trim();
  fail(`${[script, ...args].join(' ')} failed:\n${output}`);
}

/** The environment without what npm and this workspace set for their own scripts. */
function environmentOfUsers(): NodeJS.ProcessEnv {
  const ours = /^(NODE_OPTIONS|INIT_CWD|npm_(package|lifecycle|command|config_local_prefix).*)$/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)));
}

function fail(sentence: string): never {
  console.error(sentence);
  process.exit(1);
}
