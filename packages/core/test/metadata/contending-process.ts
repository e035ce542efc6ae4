import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Said } from './contention-kinds.ts';

/** A process that commits and says what was acknowledged. */
export class ContendingProcess {
  readonly said: Said[] = [];
  readonly ended: Promise<void>;
  /** What it died of, unless it was killed or came to its end. */
  failure: string | undefined;
  readonly #process: ChildProcess;
  #heard: (() => void)[] = [];
  #over = false;

  /** Runs a program with its arguments. */
  constructor(program: URL, ...args: readonly string[]) {
    const own = ['--conditions=keelson:source', '--disable-warning=ExperimentalWarning'];
    this.#process = spawn(process.execPath, [...own, fileURLToPath(program), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    let errors = '';
    this.#process.stdout?.on('data', (data: Buffer) => {
      text += data.toString();
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      this.said.push(...lines.map((line) => JSON.parse(line) as Said));
      this.#wake();
    });
    this.#process.stderr?.on('data', (data: Buffer) => {
      errors += data.toString();
    });
    this.ended = once(this.#process, 'close').then(([code, signal]) => {
      this.#over = true;
      if (code !== 0 && signal !== 'SIGKILL') this.failure = `code ${code}: ${errors}`;
      this.#wake();
    });
  }

  /** Resolves when it has said so much more, or is over. */
  async says(more: number): Promise<void> {
    const target = this.said.length + more;
    while (!this.#over && this.said.length < target) {
      await new Promise<void>((resolve) => this.#heard.push(resolve));
    }
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.ended;
  }

  #wake(): void {
    for (const heard of this.#heard.splice(0)) heard();
  }
}
