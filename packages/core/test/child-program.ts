import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** How a child ended. */
export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program of `test/children` in a process of its own; killed, if need be, when the test ends. */
export class ChildProgram {
  readonly #child: ChildProcess;
  readonly #ended: Promise<ChildEnd>;
  readonly #waiters: (() => void)[] = [];
  /** What it printed on stdout, line by line. */
  readonly lines: string[] = [];
  /** What it printed on stderr. */
  errors = '';

  constructor(
    file: string | URL,
    args: readonly string[] = [],
    options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
  ) {
    const path = file instanceof URL ? fileURLToPath(file) : file;
    this.#child = spawn(
      process.execPath,
      ['--conditions=keelson:source', '--disable-warning=ExperimentalWarning', path, ...args],
      { stdio: ['ignore', 'pipe', 'pipe'], ...options },
    );
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new Error('no pipes');
    createInterface({ input: stdout }).on('line', (line) => {
      this.lines.push(line);
      for (const wake of this.#waiters.splice(0)) wake();
    });
    stderr.on('data', (chunk: Buffer) => {
      this.errors += chunk.toString();
    });
    this.#ended = once(this.#child, 'close').then(([code, signal]) => {
      for (const wake of this.#waiters.splice(0)) wake();
      return { code: code as number | null, signal: signal as NodeJS.Signals | null };
    });
    onTestFinished(async () => {
      await this.kill();
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** The first line that matches; fails when the child ends, or three minutes pass, without one. */
  async line(pattern: RegExp): Promise<string> {
    const deadline = performance.now() + 180_000;
    for (;;) {
      const found = this.lines.find((line) => pattern.test(line));
      if (found !== undefined) return found;
      const over = this.#child.exitCode !== null || this.#child.signalCode !== null;
      if (over || performance.now() > deadline) {
        throw new Error(`No line ${pattern}: ${this.lines.join(' | ')}\n${this.errors}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.#waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it with SIGKILL; fine when it has ended. */
  async kill(): Promise<ChildEnd> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGKILL');
    }
    return this.#ended;
  }

  /** Resolves when it has ended by itself. */
  end(): Promise<ChildEnd> {
    return this.#ended;
  }
}

/** The file of a program in `test/children`. */
export function childFile(name: string): URL {
  return new URL(`./children/${name}.ts`, import.meta.url);
}
