import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';

const run = promisify(execFile);

/** The password of the superuser of every throwaway cluster; tests look for it where it must not be. */
export const clusterPassword = 'sésame-ouvre-toi';

/** The directory of PostgreSQL's programs: KEELSON_PG_BIN, Debian's newest, or one of PATH. */
export function findPgBin(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian) : [];
  const newest = versions
    .toSorted((a, b) => Number(b) - Number(a))
    .map((v) => join(debian, v, 'bin'));
  const given = process.env['KEELSON_PG_BIN'];
  const all = [
    ...(given === undefined ? [] : [given]),
    ...newest,
    ...(process.env['PATH'] ?? '').split(delimiter),
  ];
  return all.find((bin) => existsSync(join(bin, 'initdb')) && existsSync(join(bin, 'postgres')));
}

/** Whom the server runs as: PostgreSQL refuses root. */
function serverUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const user =
    users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody');
  if (user === undefined) throw new Error('Neither the user postgres nor nobody exists.');
  return { uid: Number(user[2]), gid: Number(user[3]) };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('No port.');
  return address.port;
}

/**
 * A throwaway PostgreSQL cluster in a temporary directory, on a free port of the loopback interface. It
 * ends with the process that started it, also when that one is killed.
 */
export class PgCluster implements AsyncDisposable {
  readonly directory: string;
  readonly port: number;
  readonly #bin: string;
  readonly #settings: readonly string[];
  #server: ChildProcess | undefined;

  private constructor(directory: string, port: number, bin: string, settings: readonly string[]) {
    this.directory = directory;
    this.port = port;
    this.#bin = bin;
    this.#settings = settings;
  }

  /** Makes a cluster and starts it. `durable` makes it wait for the disk as a real one does. */
  static async start(
    options: { readonly durable?: boolean; readonly settings?: readonly string[] } = {},
  ): Promise<PgCluster> {
    const bin = findPgBin();
    if (bin === undefined) throw new Error('PostgreSQL is not installed.');
    const directory = mkdtempSync(join(tmpdir(), 'keelson-pg-'));
    const user = serverUser();
    if (user !== undefined) chownSync(directory, user.uid, user.gid);
    const cluster = new PgCluster(directory, await freePort(), bin, [
      ...(options.durable === true ? [] : ['fsync=off', 'full_page_writes=off']),
      ...(options.settings ?? []),
    ]);
    try {
      const passwords = join(directory, 'password');
      writeFileSync(passwords, clusterPassword, { mode: 0o644 });
      await cluster.#run(
        'initdb',
        '-D',
        cluster.data,
        '-U',
        'keelson',
        '--encoding=UTF8',
        '--no-sync',
        '--locale=C.UTF-8',
        '--auth=scram-sha-256',
        `--pwfile=${passwords}`,
      );
      rmSync(passwords);
      await cluster.up();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get data(): string {
    return join(this.directory, 'data');
  }

  /** The address of a database of the cluster. */
  url(database = 'postgres'): string {
    return `postgres://keelson:${encodeURIComponent(clusterPassword)}@127.0.0.1:${this.port}/${database}`;
  }

  /** Starts the server, and resolves when it takes connections. */
  async up(): Promise<void> {
    const settings = [
      ['listen_addresses', '127.0.0.1'],
      ['port', String(this.port)],
      ['unix_socket_directories', ''],
      ['max_connections', '200'],
      ['shared_buffers', '128MB'],
      ['max_wal_size', '4GB'],
      ['log_min_messages', 'fatal'],
      ['log_min_error_statement', 'panic'],
      ...this.#settings.map((setting) => setting.split('=') as [string, string]),
    ].map(([name, value]) => ['-c', `${name}=${value}`]);
    // The shell reads until the pipe from this process breaks, however this process ends.
    const script = '"$@" & server=$!; read -r how || how=INT; kill -$how $server; wait $server';
    const server = spawn(
      'sh',
      ['-c', script, 'sh', join(this.#bin, 'postgres'), '-D', this.data, ...settings.flat()],
      { stdio: ['pipe', 'ignore', 'pipe'], cwd: this.directory, ...serverUser() },
    );
    this.#server = server;
    let said = '';
    server.stderr?.on('data', (chunk) => {
      said = (said + String(chunk)).slice(-10_000);
    });
    for (;;) {
      if (server.exitCode !== null) throw new Error(`PostgreSQL did not start:\n${said}`);
      if (await this.#answers()) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** A streaming standby of this one, started. */
  async standby(): Promise<PgCluster> {
    const directory = mkdtempSync(join(tmpdir(), 'keelson-pg-'));
    const user = serverUser();
    if (user !== undefined) chownSync(directory, user.uid, user.gid);
    const standby = new PgCluster(directory, await freePort(), this.#bin, this.#settings);
    try {
      const from = `host=127.0.0.1 port=${this.port} user=keelson password=${clusterPassword}`;
      const to = ['-D', standby.data, '--write-recovery-conf', '--checkpoint=fast', '--no-sync'];
      await standby.#run('pg_basebackup', `--dbname=${from}`, ...to);
      await standby.up();
    } catch (error) {
      await standby.stop();
      throw error;
    }
    return standby;
  }

  /** Ends the server: `INT` as an administrator does (sessions are ended), `QUIT` at once, as a crash. */
  async down(how: 'INT' | 'QUIT' = 'INT'): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined || server.exitCode !== null) return;
    server.stdin?.end(`${how}\n`);
    await once(server, 'exit');
  }

  async restart(how: 'INT' | 'QUIT'): Promise<void> {
    await this.down(how);
    await this.up();
  }

  /** Ends the server and removes everything. */
  async stop(): Promise<void> {
    await this.down('QUIT');
    rmSync(this.directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #answers(): Promise<boolean> {
    const client = new pg.Client({ connectionString: this.url(), connectionTimeoutMillis: 1_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return true;
    } catch {
      return false;
    }
  }

  async #run(program: string, ...args: readonly string[]): Promise<void> {
    await run(join(this.#bin, program), args, { cwd: this.directory, ...serverUser() });
  }
}
