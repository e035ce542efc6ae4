import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';

/** What a gateway lets in. */
export const credentials = {
  accessKeyId: 'KEELSONTESTKEY',
  secretAccessKey: 'sésame/ouvre+toi',
} as const;

/** The program: KEELSON_VERSITYGW, or one that `.ci/run` or `go install` has put where it puts programs. */
export function findGateway(): string | undefined {
  const given = process.env['KEELSON_VERSITYGW'];
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const all = [
    ...(given === undefined ? [] : [given]),
    join(cache, 'keelson-ci', 'bin', 'versitygw'),
    join(homedir(), 'go', 'bin', 'versitygw'),
    ...(process.env['PATH'] ?? '').split(delimiter).map((dir) => join(dir, 'versitygw')),
  ];
  return all.find((path) => existsSync(path));
}

/**
 * A real S3-compatible server (Versity's gateway over a directory) on a free port of the loopback
 * interface. It checks signatures, checksums and conditions. It ends with the process that started it.
 */
export class S3Gateway implements AsyncDisposable {
  /** The directory whose directories are the buckets. */
  readonly directory: string;
  readonly port: number;
  readonly #program: string;
  #server: ChildProcess | undefined;

  private constructor(directory: string, port: number, program: string) {
    this.directory = directory;
    this.port = port;
    this.#program = program;
  }

  static async start(parent: string = tmpdir()): Promise<S3Gateway> {
    const program = findGateway();
    if (program === undefined) {
      throw new Error(
        'versitygw is not installed: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0',
      );
    }
    const directory = mkdtempSync(join(parent, 'keelson-s3-'));
    const gateway = new S3Gateway(directory, await freePort(), program);
    try {
      await gateway.up();
    } catch (error) {
      await gateway.stop();
      throw error;
    }
    return gateway;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts the server, and resolves when it answers. */
  async up(): Promise<void> {
    // The shell reads until the pipe from this process breaks, however this process ends.
    const script = '"$@" & server=$!; read -r how || how=KILL; kill -$how $server; wait $server';
    const listen = `127.0.0.1:${this.port}`;
    const server = spawn(
      'sh',
      ['-c', script, 'sh', this.#program, '--port', listen, '--quiet', 'posix', this.directory],
      {
        stdio: ['pipe', 'ignore', 'pipe'],
        env: {
          ...process.env,
          ROOT_ACCESS_KEY: credentials.accessKeyId,
          ROOT_SECRET_KEY: credentials.secretAccessKey,
        },
      },
    );
    this.#server = server;
    let said = '';
    server.stderr?.on('data', (chunk) => {
      said = (said + String(chunk)).slice(-10_000);
    });
    for (;;) {
      if (server.exitCode !== null) throw new Error(`The gateway did not start:\n${said}`);
      if (await this.#answers()) return;
      await rest(20);
    }
  }

  /** Ends the server at once. */
  async down(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined || server.exitCode !== null) return;
    server.stdin?.end('KILL\n');
    await once(server, 'exit');
  }

  /** Ends the server and removes everything. */
  async stop(): Promise<void> {
    await this.down();
    rmSync(this.directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #answers(): Promise<boolean> {
    try {
      await (await fetch(this.endpoint)).arrayBuffer();
      return true;
    } catch {
      return false;
    }
  }
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
