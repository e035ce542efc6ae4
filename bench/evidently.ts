import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('./evidently_drift.py', import.meta.url));
/** No comparison of a million rows takes as long, also on a busy machine. */
const patienceMs = 1_800_000;

/** Evidently in a process of its own, on columns that lie in a directory; it tells nobody anything. */
export class Evidently implements AsyncDisposable {
  readonly version: string;
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(child: ChildProcess, answers: AsyncIterator<string>, version: string) {
    this.#child = child;
    this.#answers = answers;
    this.version = version;
  }

  /** Undefined where it is not installed: `KEELSON_EVIDENTLY`, or the place that docs/benchmarks.md names. */
  static async start(dir: string): Promise<Evidently | undefined> {
    const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
    const home = process.env['KEELSON_EVIDENTLY'] ?? join(cache, 'keelson-ci', 'evidently');
    const python = join(home, 'bin', 'python');
    if (!existsSync(python)) return undefined;
    const child = spawn(python, [program, dir], {
      stdio: ['pipe', 'pipe', 'inherit'],
      cwd: dir,
      env: { PATH: process.env['PATH'] ?? '', HOME: dir, TMPDIR: dir, DO_NOT_TRACK: '1' },
    });
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const { version } = await answerOf(child, answers);
    return new Evidently(child, answers, String(version));
  }

  /** Compares the tables; answers how many ms that took. */
  async compare(): Promise<number> {
    this.#child.stdin?.write('compare\n');
    return Number((await answerOf(this.#child, this.#answers))['ms']);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    const ended = this.#child.exitCode === null ? once(this.#child, 'exit') : Promise.resolve();
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 10_000).unref())]);
    this.#child.kill('SIGKILL');
  }
}

async function answerOf(
  child: ChildProcess,
  answers: AsyncIterator<string>,
): Promise<Readonly<Record<string, unknown>>> {
  const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
  try {
    const { value, done } = await answers.next();
    if (done) throw new Error('Evidently has ended without an answer.');
    return JSON.parse(value) as Readonly<Record<string, unknown>>;
  } finally {
    clearTimeout(timer);
  }
}
