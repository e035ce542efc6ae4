import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** What imports much of Python's libraries may take. */
export const slowMs = 90_000;

/** Writes the model as MLServer and as MLflow serve it: the directories `mlserver` and `mlflow` below `directory`. */
export async function makeModels(python: string, directory: string): Promise<void> {
  const script = fileURLToPath(new URL('make_models.py', import.meta.url));
  await promisify(execFile)(python, [script, directory], { timeout: slowMs });
}

/** A server in Python, which can be killed and brought back on its port. */
export class PythonServer {
  readonly port: number;
  readonly #start: (port: number) => ChildProcess;
  #child: ChildProcess | undefined;
  said = '';

  private constructor(port: number, start: (port: number) => ChildProcess) {
    this.port = port;
    this.#start = start;
  }

  static async at(start: (port: number) => ChildProcess): Promise<PythonServer> {
    return new PythonServer(await freePort(), start);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Resolves when `path` is answered with 200. */
  async up(path: string, patienceMs: number = slowMs): Promise<void> {
    const child = this.#start(this.port);
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => {
        this.said = (this.said + String(chunk)).slice(-5_000);
      });
    }
    await waitFor(
      `${this.url}${path}`,
      async () => {
        if (child.exitCode !== null) throw new Error(`The server did not start:\n${this.said}`);
        const answer = await fetch(`${this.url}${path}`).catch(() => undefined);
        return answer?.status === 200;
      },
      patienceMs,
    );
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.pid === undefined) return;
    const gone = once(child, 'exit');
    // The group: servers have workers.
    process.kill(-child.pid, 'SIGKILL');
    await gone;
  }
}

/** MLServer with the model `rain` of {@link makeModels}; not started yet. Ready at `/v2/models/rain/ready`. */
export async function mlserver(python: string, directory: string): Promise<PythonServer> {
  const [grpcPort, metricsPort] = [await freePort(), await freePort()];
  const script = join(dirname(python), 'mlserver');
  return PythonServer.at((port) =>
    spawnPython(python, [script, 'start', directory], directory, {
      MLSERVER_HOST: '127.0.0.1',
      MLSERVER_HTTP_PORT: String(port),
      MLSERVER_GRPC_PORT: String(grpcPort),
      MLSERVER_METRICS_PORT: String(metricsPort),
      MLSERVER_PARALLEL_WORKERS: '0',
    }),
  );
}

/** MLflow's scoring server with that model; not started yet. Ready at `/ping`. */
export function mlflow(python: string, directory: string): Promise<PythonServer> {
  const serving = ['-m', 'mlflow', 'models', 'serve', '-m', directory, '--env-manager', 'local'];
  return PythonServer.at((port) =>
    spawnPython(
      python,
      [...serving, '--host', '127.0.0.1', '--port', String(port), '--workers', '1'],
      dirname(directory),
      { MLFLOW_DISABLE_TELEMETRY: 'true' },
    ),
  );
}

function spawnPython(
  python: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): ChildProcess {
  return spawn(python, args, {
    ...{ cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
    // MLflow starts uvicorn by its name.
    env: {
      ...process.env,
      PATH: [dirname(python), process.env['PATH']].join(delimiter),
      ...env,
    },
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Resolves when it holds; rejects, saying what was waited for, after `patienceMs`. */
export async function waitFor(
  what: string,
  holds: () => Promise<boolean>,
  patienceMs: number = slowMs,
): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`Waited in vain for ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
