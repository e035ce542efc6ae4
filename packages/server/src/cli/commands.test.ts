import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openPlatform } from '@keelson/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliRoom, runCli } from '../../test/cli-bed.ts';
import { commandLinePage, emptyGroups } from '../../test/command-line-page.ts';
import { loadConfig } from '../config/load-config.ts';
import { commandTable } from './command-table.ts';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'keelson-commands-'));
const dir = join(home, 'platform');

/** A directory of its own, from which packages of the workspace are found. */
function place(name: string): string {
  const path = join(home, name);
  mkdirSync(path);
  symlinkSync(join(root, 'node_modules'), join(path, 'node_modules'));
  return path;
}

beforeAll(async () => {
  await using platform = await openPlatform({ dir });
  await platform.tracking.withRun({ experiment: 'fraud' }, (run) => run.logMetric('auc', 0.9));
});
afterAll(() => rmSync(home, { recursive: true }));

describe('commands of the platform', () => {
  it('init writes what run and doctor go on with, and nothing over what is there', async () => {
    const cwd = place('new');
    const made = await runCli(['init', '--json'], { cwd });
    expect(made.stderr).toBe('');
    expect(made.json()).toEqual({
      dir: join(cwd, '.keelson'),
      files: [join(cwd, 'keelson.config.ts'), join(cwd, 'train.ts')],
    });
    const again = await runCli(['init'], { cwd });
    expect([again.code, again.stderr]).toEqual([
      1,
      'error CONFLICT: keelson.config.ts and train.ts are there already; --force writes over, --no-script leaves the script out.\n',
    ]);
    const ran = await runCli(['run', '--json', '--tag', 'by=test', 'train.ts', '--epochs', '3'], {
      cwd,
      env: process.env as Record<string, string>,
    });
    expect(ran.stderr).toBe('');
    expect(ran.json()).toMatchObject({ exitCode: 0, run: { status: 'COMPLETED' } });
    await using platform = await openPlatform({ dir: join(cwd, '.keelson') });
    const { runs } = await platform.tracking.searchRuns({});
    expect(runs).toHaveLength(1);
    expect(runs[0]?.tags).toMatchObject({ by: 'test', 'keelson.script': 'train.ts' });
    const { values } = await loadConfig({ cwd, env: {} });
    expect(values.server.port).toBe(5000);
  });

  it.each(['json', 'yaml'])('init writes a configuration in %s that is read', async (format) => {
    const cwd = place(`init-${format}`);
    expect((await runCli(['init', '--format', format, '--no-script'], { cwd })).code).toBe(0);
    const { file } = await loadConfig({ cwd, env: {} });
    expect(file).toBe(join(cwd, `keelson.config.${format}`));
  });

  it('run ends a run as its script ends, whatever the script said', async () => {
    const cwd = place('scripts');
    const env = process.env as Record<string, string>;
    const script = `import { openPlatform } from '@keelson/core';
const platform = await openPlatform();
await platform.tracking.withRun({ experiment: 'own' }, () => undefined);
await platform.close();
process.exit(Number(process.argv[2]));`;
    writeFileSync(join(cwd, 'three.ts'), script);
    writeFileSync(join(cwd, 'none.sh'), 'exit "$1"\n');
    const run = async (...argv: string[]) => {
      const answer = await runCli(['run', '--json', ...argv], { cwd, env, dir });
      return [answer.code, (answer.json() as { run: object }).run];
    };
    const reason = (name: string) => `${name} ended with exit code 3`;
    expect(await run('three.ts', '3')).toMatchObject([
      3,
      { status: 'FAILED', statusReason: reason('three.ts') },
    ]);
    expect(await run('none.sh', '3')).toMatchObject([
      3,
      { status: 'FAILED', statusReason: reason('none.sh') },
    ]);
    expect(await run('-e', 'named', 'none.sh', '0')).toMatchObject([0, { status: 'COMPLETED' }]);
    const missing = await runCli(['run', 'gone.ts'], { cwd, dir });
    expect([missing.code, missing.stderr]).toEqual([
      1,
      `error NOT_FOUND: There is no script ${join(cwd, 'gone.ts')}.\n`,
    ]);
  });

  it('what export and backup write, import and restore bring back', async () => {
    const to = join(home, 'fraud.tar.gz');
    const argv = ['export', to, '--experiment', 'fraud'];
    expect((await runCli([...argv, '--json'], { dir })).json()).toMatchObject({ runs: 1 });
    expect((await runCli(argv, { dir })).code).toBe(1);
    const other = join(home, 'imported');
    const added = { added: { runs: 1 }, skipped: { runs: 0 } };
    expect((await runCli(['import', to, '--json'], { dir: other })).json()).toMatchObject(added);
    const backup = join(home, 'backup');
    expect((await runCli(['backup', backup], { dir })).code).toBe(0);
    expect((await runCli(['backup', backup, '--verify'], { dir })).stdout).toContain('is whole');
    const restored = join(home, 'restored');
    expect((await runCli(['restore', backup], { dir: restored })).code).toBe(0);
    await using platform = await openPlatform({ dir: restored });
    expect((await platform.tracking.searchRuns({})).runs.length).toBeGreaterThan(0);
  });

  it('doctor finds what is wrong with a directory, and makes none', async () => {
    const none = await runCli(['doctor'], { dir: join(home, 'nowhere') });
    expect(none.code).toBe(3);
    expect(none.stdout).toContain('→ keelson init makes one');
    expect(existsSync(join(home, 'nowhere'))).toBe(false);
    const newer = join(home, 'newer');
    await (await openPlatform({ dir: newer })).close();
    writeFileSync(join(newer, 'format'), '99\n');
    chmodSync(newer, 0o777);
    const found = await runCli(['doctor', '--json', '--set', 'server.port=0'], { dir: newer });
    expect(found.code).toBe(3);
    const statuses = Object.fromEntries(
      (found.json() as { findings: { check: string; status: string }[] }).findings.map((each) => [
        each.check,
        each.status,
      ]),
    );
    expect(statuses).toMatchObject({
      node: 'ok',
      directory: 'warning',
      format: 'problem',
      opening: 'problem',
    });
    const well = await runCli(['doctor', '--all', '--set', 'server.port=0'], { dir });
    expect(well.stdout).toContain('✓ database: It answers.');
    expect(well.code).toBe(0);
  });

  it('migrate says what opening would change', async () => {
    const answer = await runCli(['migrate', '--status', '--json'], { dir });
    expect(answer.json()).toMatchObject({ format: 1, current: 1, steps: [], applied: false });
    expect((await runCli(['migrate'], { dir })).stdout).toContain('The directory is up to date.');
  });

  it.each(['bash', 'zsh', 'fish'])('completion of %s knows commands and options', async (shell) => {
    const { stdout } = await runCli(['completion', shell]);
    for (const { name } of commandTable) expect(stdout).toContain(name.split(' ').at(-1));
    expect(stdout).toContain('older-than');
  });
});

describe('the configuration', () => {
  const cwd = place('configured');
  const file = join(cwd, 'keelson.config.json');
  const say = (content: object): void => writeFileSync(file, JSON.stringify(content));
  const config = (argv: readonly string[] = [], room: CliRoom = {}) =>
    runCli(['config', '--json', ...argv], { cwd, ...room });

  it('comes from the file, outranked by the environment and by options', async () => {
    say({ dir: 'data', log: { level: 'info' }, server: { port: 1, graceMs: 5 } });
    mkdirSync(join(cwd, 'below'));
    const env = { KEELSON_SERVER_PORT: '2', KEELSON_LOG_LEVEL: 'error' };
    const answer = await config(['--set', 'server.port=3'], { env, cwd: join(cwd, 'below') });
    expect(answer.json()).toMatchObject({
      file,
      values: {
        dir: { value: join(cwd, 'data'), source: file },
        'server.port': { value: 3, source: '--set server.port' },
        'log.level': { value: 'error', source: 'KEELSON_LOG_LEVEL' },
        'server.graceMs': { value: 5, source: file },
        workspace: { value: 'default', source: 'default' },
      },
    });
  });

  it('masks passwords, and hints at mistyped variables', async () => {
    say({ store: 'postgres://ana:s3cret@db/keelson' });
    const { stdout } = await config([], { env: { KEELSON_WORKSPCE: 'a' } });
    expect(stdout).toContain('postgres://ana:***@db/keelson');
    expect(stdout).not.toContain('s3cret');
    expect(stdout).toContain('KEELSON_WORKSPACE');
  });

  it.each([
    [
      { server: { prot: 1 } },
      {},
      [],
      `${file} has a key "server.prot" that is not known. Did you mean "server.port"?`,
    ],
    [
      { server: { port: 'x' } },
      {},
      [],
      `"server.port" of ${file} must be an integer, not "x". Such as: { server: { port: 8080 } }`,
    ],
    [
      {},
      { KEELSON_SERVER_PORT: '99999' },
      [],
      '"server.port" of KEELSON_SERVER_PORT must be from 0 to 65535, not 99999. Such as: KEELSON_SERVER_PORT=8080',
    ],
    [
      {},
      {},
      ['--set', 'log.level=loud'],
      '"log.level" of --set log.level must be one of debug, info, warn, error, silent, not "loud". Such as: --set log.level=info',
    ],
    [{}, {}, ['--set', 'log'], '--set takes key=value, not "log".'],
  ])('%j %j %j is refused, with where it stands', async (content, env, argv, sentence) => {
    say(content);
    const { code, stderr } = await config(argv, { env });
    expect(stderr).toContain(sentence);
    expect(code).toBe(2);
  });

  it('names the package that a store needs', async () => {
    const bare = mkdtempSync(join(home, 'bare-'));
    const { code, stderr } = await runCli(['gc', '--set', 'artifacts=s3://b/p?colour=red'], {
      cwd: bare,
      dir,
    });
    expect(stderr).toContain('"artifacts" does not know ?colour');
    expect(code).toBe(2);
  });
});

describe('the process', () => {
  const program = join(root, 'packages/server/src/cli/keelson.ts');
  const start = (...argv: string[]) =>
    spawn(process.execPath, ['--conditions=keelson:source', program, ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });

  it('shows the dashboard until it is told to end', async () => {
    const child = start('ui', '--dir', dir, '--json');
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const { url } = JSON.parse(line.toString()) as { url: string };
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/ui\/$/);
    // Where it is not built the dashboard says so itself.
    expect([200, 503]).toContain((await fetch(url)).status);
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('serves until it is told to end, reading its configuration again meanwhile', async () => {
    const cwd = place('served');
    const file = join(cwd, 'keelson.config.json');
    writeFileSync(file, '{"log":{"level":"warn"}}');
    const child = start('serve', '--port', '0', '--dir', dir, '--config', file, '--json');
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const { url } = JSON.parse(line.toString()) as { url: string };
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
    writeFileSync(file, '{"log":{"level":"debug"},"server":{"port":7}}');
    child.kill('SIGHUP');
    const [said] = (await once(child.stderr, 'data')) as [Buffer];
    expect(said.toString()).toContain('Configuration read again: log.level is debug');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    await using platform = await openPlatform({ dir });
    const { events } = await platform.events.page({ types: ['configuration.changed'] });
    expect(events.map(({ payload }) => payload)).toEqual([
      { changes: [{ key: 'log.level', from: 'warn', to: 'debug', source: file }] },
    ]);
  });

  it('takes a certificate with its key, and neither alone', async () => {
    const { code, stderr } = await runCli(['serve', '--tls-cert', 'cert.pem'], { dir });
    expect([code, stderr]).toEqual([
      2,
      'error INVALID: TLS takes a certificate and its key: add --tls-key.\n',
    ]);
  });

  it('ends a script and its run by Ctrl-C, and quietly when nobody reads', async () => {
    const script = join(home, 'endless.sh');
    writeFileSync(script, 'echo begun; while :; do sleep 0.1; done\n');
    const child = start('run', '--dir', dir, script);
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    const [code] = await once(child, 'exit');
    expect(code).toBe(130);
    await using platform = await openPlatform({ dir });
    const { runs } = await platform.tracking.searchRuns({ filter: "status = 'KILLED'" });
    expect(runs).toHaveLength(1);
    const unread = start('--help');
    unread.stdout.destroy();
    const errors: Buffer[] = [];
    unread.stderr.on('data', (bytes: Buffer) => errors.push(bytes));
    await once(unread, 'exit');
    expect(Buffer.concat(errors).toString()).toBe('');
  });

  it.each([
    [['--help'], ''],
    [['gc', '--dry-run', '--dir', dir], 'packages/core/'],
  ])('%j loads the platform only if it needs it', async (argv, said) => {
    const loaded = `import { registerHooks } from 'node:module';
registerHooks({ load(url, context, next) { if (/packages\\/core\\//.test(url)) process.stderr.write(url + '\\n'); return next(url, context); } });
process.argv.splice(1, Infinity, 'keelson', ...${JSON.stringify(argv)});
await import(${JSON.stringify(program)});`;
    const child = spawn(
      process.execPath,
      ['--conditions=keelson:source', '--input-type=module', '-e', loaded],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const errors: Buffer[] = [];
    child.stderr.on('data', (bytes: Buffer) => errors.push(bytes));
    expect(await once(child, 'exit')).toEqual([0, null]);
    const told = Buffer.concat(errors).toString();
    expect(told).toContain(said);
    if (said === '') expect(told).toBe('');
  });
});

it('docs/command-line.md is what the tables say', async () => {
  expect(emptyGroups(commandTable)).toEqual([]);
  const commands = await Promise.all(
    commandTable.map(async (row) => ({ row, command: (await row.load()).command })),
  );
  const page = commandLinePage(commands);
  const path = join(root, 'docs/command-line.md');
  if (process.env['KEELSON_WRITE_DOCS'] === '1') writeFileSync(path, page);
  expect(readFileSync(path, 'utf8')).toBe(page);
});
