import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { PythonServer } from '../packages/serve/test/python/python-server.ts';

const program = fileURLToPath(new URL('./mlflow_session.py', import.meta.url));
/** No task and no start takes as long, also on a busy machine. */
const patienceMs = 900_000;

/** The virtual environment with MLflow and its server; undefined where it is not installed. */
function findMlflow(): string | undefined {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const home = process.env['KEELSON_MLFLOW'] ?? join(cache, 'keelson-ci', 'mlflow');
  const python = join(home, 'bin', 'python');
  return existsSync(python) ? python : undefined;
}

function environment(home: string): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    TMPDIR: home,
    DO_NOT_TRACK: '1',
    MLFLOW_DISABLE_TELEMETRY: 'true',
    NO_PROXY: '127.0.0.1',
  };
}

/**
 * MLflow's own server with its default store (SQLite in its directory) and workers, and its client in a process of its
 * own, which asks that server or another. Both listen to nobody else, tell nobody anything, and end with this.
 */
export class MlflowPair implements AsyncDisposable {
  readonly version: string;
  readonly url: string;
  /** The server's database. */
  readonly database: string;
  readonly #server: PythonServer;
  readonly #client: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(
    version: string,
    place: string,
    parts: {
      readonly server: PythonServer;
      readonly client: ChildProcess;
      readonly answers: AsyncIterator<string>;
    },
  ) {
    this.version = version;
    this.#server = parts.server;
    this.#client = parts.client;
    this.#answers = parts.answers;
    this.url = parts.server.url;
    this.database = join(place, 'mlflow.db');
  }

  /** Undefined where MLflow is not installed. */
  static async start(dir: string): Promise<MlflowPair | undefined> {
    const python = findMlflow();
    if (python === undefined) return undefined;
    const place = join(dir, 'mlflow');
    await mkdir(place, { recursive: true });
    const serve = ['-m', 'mlflow', 'server', '--host', '127.0.0.1', '--port'];
    const server = await PythonServer.at((port) =>
      spawn(python, [...serve, String(port)], {
        ...{ cwd: place, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
        env: environment(place),
      }),
    );
    try {
      await server.up('/health', patienceMs);
      const client = spawn(python, [program], {
        ...{ cwd: place, stdio: ['pipe', 'pipe', 'ignore'], env: environment(place) },
      });
      const answers = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
      const { version } = await answerOf(client, answers);
      return new MlflowPair(String(version), place, { server, client, answers });
    } catch (error) {
      await server.kill();
      throw error;
    }
  }

  /** Has the client do one task; see mlflow_session.py. */
  async ask(task: {
    readonly do: string;
    readonly [field: string]: unknown;
  }): Promise<{ readonly ms: number }> {
    this.#client.stdin?.write(`${JSON.stringify(task)}\n`);
    return (await answerOf(this.#client, this.#answers)) as { ms: number };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.kill('SIGKILL');
    if (this.#client.exitCode === null && this.#client.signalCode === null) {
      await once(this.#client, 'exit');
    }
    await this.#server.kill();
  }
}

async function answerOf(
  client: ChildProcess,
  answers: AsyncIterator<string>,
): Promise<Readonly<Record<string, unknown>>> {
  const timer = setTimeout(() => client.kill('SIGKILL'), patienceMs);
  try {
    const { value, done } = await answers.next();
    if (done) throw new Error("MLflow's client has ended without an answer.");
    return JSON.parse(value) as Readonly<Record<string, unknown>>;
  } finally {
    clearTimeout(timer);
  }
}
