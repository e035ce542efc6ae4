import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Json } from '../../json.ts';
import type { Asked, Told, Turn } from './scenario-process.ts';

/** How a process is started. */
export interface ProgramOptions {
  /** A file that calls `scenarioProcess`. */
  readonly program: URL | string;
  /** Options of Node; those of this process when left out. */
  readonly execArgv?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A process of a scenario, seen from the test. */
export class ScenarioChild {
  /** What it has said. */
  readonly said: Json[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #ready: Promise<boolean>;
  #state: 'waiting' | 'started' | 'working' | 'stalled' | 'ended' = 'waiting';
  #heard: (() => void)[] = [];
  #errors = '';

  constructor(options: ProgramOptions) {
    const { program, execArgv = process.execArgv, env = {} } = options;
    this.#child = fork(program instanceof URL ? fileURLToPath(program) : program, [], {
      execArgv: [...execArgv],
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    });
    this.#child.stderr?.on('data', (data: Buffer) => {
      // The end tells most; a process that complains for ever must not fill the test's memory.
      this.#errors = `${this.#errors}${data}`.slice(-20_000);
    });
    // Without this, a message to a process that is being killed is an unhandled error.
    this.#child.on('error', () => undefined);
    this.#ready = new Promise((resolve) => {
      this.#child.on('message', (told: Told) => {
        if (told.keelson === 'ready') resolve(true);
        else if (told.keelson === 'said') this.said.push(told.fact);
        else if (this.#state === 'started') this.#state = 'working';
        this.#wake();
      });
      this.#child.once('exit', () => resolve(false));
    });
    this.#ended = once(this.#child, 'close').then(() => {
      this.#state = 'ended';
      this.#wake();
    });
  }

  get working(): boolean {
    return this.#state === 'working';
  }

  get over(): boolean {
    return this.#state === 'ended';
  }

  get killed(): boolean {
    return this.#child.signalCode === 'SIGKILL';
  }

  /** Why it ended, where it neither came to its end nor was killed. */
  get failure(): string | undefined {
    if (!this.over || this.killed || this.#child.exitCode === 0) return undefined;
    return `ended with ${this.#child.signalCode ?? `code ${this.#child.exitCode}`}:\n${this.#errors}`;
  }

  /** Gives it its turn as soon as it is loaded. */
  async go(turn: Turn): Promise<void> {
    if (!(await this.#ready) || this.#state !== 'waiting') return;
    this.#state = 'started';
    this.#ask({ keelson: 'go', turn });
  }

  /** Resolves when it says something new, begins to work, or is over. */
  async news(): Promise<void> {
    if (this.over) return;
    await new Promise<void>((resolve) => this.#heard.push(resolve));
  }

  /** Resolves when it has ended. */
  async end(): Promise<void> {
    await this.#ended;
  }

  /** SIGKILL; resolves when it is gone. Answers whether this killed it. */
  async kill(): Promise<boolean> {
    const sent = !this.over && this.#child.kill('SIGKILL');
    await this.#ended;
    return sent && this.killed;
  }

  /** SIGSTOP for `ms`, then SIGCONT; resolves when it goes on. */
  async stall(ms: number): Promise<void> {
    if (this.#state !== 'working') return;
    this.#state = 'stalled';
    this.#child.kill('SIGSTOP');
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([over, this.#ended]);
    clearTimeout(timer);
    this.#child.kill('SIGCONT');
    if (!this.over) this.#state = 'working';
    this.#wake();
  }

  /** Asks it to come to its end, and kills it when it has not within `ms`; answers whether it has. */
  async stop(ms: number): Promise<boolean> {
    if (this.#state === 'waiting') return await this.kill();
    this.#ask({ keelson: 'stop' });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, ms, 'late');
    });
    const first = await Promise.race([late, this.#ended]);
    clearTimeout(timer);
    if (first === 'late') await this.kill();
    return first !== 'late';
  }

  #ask(asked: Asked): void {
    if (this.#child.connected) this.#child.send(asked, () => undefined);
  }

  #wake(): void {
    for (const heard of this.#heard.splice(0)) heard();
  }
}
