import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Orchestrators in Python that run the same graphs, where they are installed. */
export const orchestratorNames = ['prefect', 'dagster'] as const;
type OrchestratorName = (typeof orchestratorNames)[number];

const program = fileURLToPath(new URL('./orchestrator.py', import.meta.url));
/** No start and no execution takes as long, also on a busy machine. */
const patienceMs = 180_000;

/** The virtual environment with them: `KEELSON_ORCHESTRATORS`, or the place that docs/benchmarks.md names. */
function orchestratorsHome(): string {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return process.env['KEELSON_ORCHESTRATORS'] ?? join(cache, 'keelson-ci', 'orchestrators');
}

/**
 * One of them in a process of its own, which keeps what it stores in a directory, listens on loopback alone, tells
 * nobody anything, and ends with all that it has started.
 */
export class Orchestrator implements AsyncDisposable {
  readonly version: string;
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(child: ChildProcess, answers: AsyncIterator<string>, version: string) {
    this.#child = child;
    this.#answers = answers;
    this.version = version;
  }

  /** Undefined where it is not installed. */
  static async start(name: OrchestratorName, dir: string): Promise<Orchestrator | undefined> {
    const python = join(orchestratorsHome(), 'bin', 'python');
    if (!existsSync(join(orchestratorsHome(), 'bin', name)) || !existsSync(python))
      return undefined;
    const home = join(dir, name);
    await mkdir(home, { recursive: true });
    await writeFile(join(home, 'dagster.yaml'), 'telemetry:\n  enabled: false\n');
    const child = spawn(python, [program, name], {
      // A group of its own, so that a server that it starts ends with it.
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
      cwd: home,
      env: { PATH: process.env['PATH'] ?? '', HOME: home, TMPDIR: home, ...settings(home) },
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const { version } = await answerOf(child, lines, name);
    return new Orchestrator(child, lines, String(version));
  }

  /** Runs a chain or a fan-out of so many tasks that do nothing; answers how many ms that took. */
  async run(shape: 'chain' | 'fan', count: number): Promise<number> {
    this.#child.stdin?.write(`${shape} ${count}\n`);
    return Number((await answerOf(this.#child, this.#answers, shape))['ms']);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    const ended = this.#child.exitCode === null ? once(this.#child, 'exit') : Promise.resolve();
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 10_000).unref())]);
    endGroup(this.#child);
  }
}

function settings(home: string): Readonly<Record<string, string>> {
  return {
    DO_NOT_TRACK: '1',
    DAGSTER_HOME: home,
    DAGSTER_DISABLE_TELEMETRY: '1',
    PREFECT_HOME: home,
    PREFECT_SERVER_ANALYTICS_ENABLED: 'false',
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: 'true',
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: '120',
    PREFECT_LOGGING_TO_API_ENABLED: 'false',
    PREFECT_LOGGING_LEVEL: 'ERROR',
  };
}

async function answerOf(
  child: ChildProcess,
  answers: AsyncIterator<string>,
  what: string,
): Promise<Readonly<Record<string, unknown>>> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    endGroup(child);
    late.reject(new Error(`${what} has not answered within ${patienceMs / 1000} s.`));
  }, patienceMs);
  try {
    const { value, done } = await Promise.race([answers.next(), late.promise]);
    if (done) throw new Error(`${what}: its process has ended without an answer.`);
    return JSON.parse(value) as Readonly<Record<string, unknown>>;
  } finally {
    clearTimeout(timer);
  }
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it has ended.
  }
}
