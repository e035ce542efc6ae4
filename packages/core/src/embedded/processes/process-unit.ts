import { type ChildProcess, spawn } from 'node:child_process';
import { watch } from 'node:fs';
import { appendFile, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { TaskObservation, TaskUsage } from '../../contracts/executor.ts';
import { KeelsonError } from '../../errors.ts';
import { processShim } from './process-shim.ts';
import {
  beganAfter,
  groupIn,
  groupLives,
  isZombie,
  processesWith,
  programIn,
  sampleTree,
  startTimeIn,
  statOf,
} from './process-tree.ts';

/** Why a process was ended by its executor; the first one stands. */
export type Verdict = Pick<TaskObservation, 'reason' | 'message'> & {
  readonly state: 'cancelled' | 'failed';
};

/** How a process is started. */
export interface UnitSpec {
  readonly command: readonly string[];
  readonly cwd?: string;
  readonly env: Readonly<Record<string, string>>;
}

const sampleMs = 250;
/** No system gives out all of its process numbers in so short a time. */
const shortMs = 5000;
const pollMs = 250;

/**
 * One process group with its directory, in which everything that is known of it lies: any process of this
 * machine can watch it, read its output, end it, and tell how it ended.
 */
export class ProcessUnit {
  readonly dir: string;
  readonly #memoryBytes: number | undefined;
  #exited: Promise<void> | undefined;
  #sampling: Promise<void> | undefined;
  #sweeping: Promise<void> | undefined;
  #peak = { memoryBytes: 0, memorySum: 0, samples: 0, cpuCores: 0, readBytes: 0, writtenBytes: 0 };

  constructor(dir: string, memoryBytes: number | undefined) {
    this.dir = dir;
    this.#memoryBytes = memoryBytes;
  }

  /**
   * Starts the command; resolves once the system has it. NOT_FOUND for a directory to run in that is not there,
   * INVALID for variables and arguments that are longer than the system takes.
   */
  async start(spec: UnitSpec): Promise<void> {
    const child = this.#spawn(spec);
    const exited = Promise.withResolvers<void>();
    this.#exited = exited.promise;
    child.once('exit', () => exited.resolve());
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => {
        exited.resolve();
        const where = spec.cwd === undefined ? '' : ` in ${spec.cwd}`;
        const message = `The process could not be started${where}: ${cause.message}`;
        reject(new KeelsonError('NOT_FOUND', message, { cause }));
      });
    });
    child.unref();
  }

  #spawn(spec: UnitSpec): ChildProcess {
    try {
      return spawn('/bin/sh', ['-c', processShim, 'sh', this.dir, ...spec.command], {
        cwd: spec.cwd,
        env: { ...spec.env, [dirVariable]: this.dir },
        detached: true,
        stdio: 'ignore',
      });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'E2BIG') throw cause;
      const message =
        'The arguments and variables of the process are longer than this system takes (128 KiB each on Linux): take a long parameter as an input, which comes as a file.';
      throw new KeelsonError('INVALID', message, { cause });
    }
  }

  /** What is known of it now; undefined when it has never begun. */
  async observe(): Promise<TaskObservation | undefined> {
    const begun = await this.#begun();
    const exit = await this.#exit();
    const verdict = await this.#verdict();
    const startedAt = begun === undefined ? {} : { startedAt: begun.at };
    if (exit !== undefined) {
      const ended = { ...startedAt, exitCode: exit.code, finishedAt: exit.at };
      if (verdict !== undefined) return { ...ended, ...verdict.verdict };
      return exit.code === 0
        ? { ...ended, state: 'succeeded' }
        : { ...ended, state: 'failed', reason: 'exit', message: exitText(exit.code) };
    }
    if (begun === undefined) return this.#unbegun(verdict);
    if (await isAlive(begun)) return { ...startedAt, state: 'running' };
    // Its exit may have been written between the two looks.
    if ((await this.#exit()) !== undefined) return this.observe();
    if (verdict !== undefined) return { ...startedAt, ...verdict.verdict, finishedAt: verdict.at };
    const message =
      'The process is gone and has left no exit code: it was killed by somebody else.';
    return { ...startedAt, state: 'lost', reason: 'evicted', message };
  }

  async #unbegun(
    verdict: { readonly verdict: Verdict; readonly at: number } | undefined,
  ): Promise<TaskObservation | undefined> {
    if ((await readText(join(this.dir, 'pid'))) !== 'abandoned\n') return undefined;
    if (verdict !== undefined) return { ...verdict.verdict, finishedAt: verdict.at };
    return { state: 'lost', reason: 'engine', message: 'It was given up before it began.' };
  }

  /** Whether it has not begun and never will: this call sees to that. */
  async neverBegins(): Promise<boolean> {
    const path = join(this.dir, 'pid');
    try {
      await writeFile(path, 'abandoned\n', { flag: 'wx' });
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return true;
      if (code !== 'EEXIST') throw error;
    }
    return (await readText(path)) === 'abandoned\n';
  }

  /** Resolves when it may have ended: look again. */
  async wait(signal: AbortSignal): Promise<void> {
    // A directory that is removed between two looks, say; who waits on begins anew.
    this.#sampling ??= this.#sample().catch(() => {
      this.#sampling = undefined;
    });
    const changed = Promise.withResolvers<void>();
    const stop = (): void => changed.resolve();
    const timer = setInterval(stop, pollMs);
    const watcher = watch(this.dir, (_, name) => {
      if (name === 'exit') stop();
    });
    watcher.on('error', stop);
    signal.addEventListener('abort', stop, { once: true });
    void this.#exited?.then(stop);
    try {
      if (!signal.aborted) await changed.promise;
    } finally {
      clearInterval(timer);
      watcher.close();
      signal.removeEventListener('abort', stop);
    }
  }

  /** Ends it, for this reason unless there was one before: TERM, and after the grace time KILL. */
  async end(verdict: Verdict, graceMs: number): Promise<'gone' | 'unconfirmed'> {
    await this.#judge(verdict);
    const begun = await this.#begun();
    if (begun === undefined) return 'gone';
    if (graceMs > 0) {
      await this.#kill(begun, 'SIGTERM');
      if (await this.#goneWithin(begun, graceMs)) {
        await this.#killStrays();
        return 'gone';
      }
    }
    await this.#kill(begun, 'SIGKILL');
    await this.#killStrays();
    return (await this.#goneWithin(begun, 2000)) ? 'gone' : 'unconfirmed';
  }

  /** What it has started in sessions of their own. */
  async #killStrays(): Promise<void> {
    // One that is being killed may start another one.
    for (let round = 0; round < 5; round += 1) {
      const strays = await processesWith(dirVariable, this.dir);
      if (strays.length === 0) return;
      for (const pid of strays) killOne(pid);
    }
  }

  /**
   * Ends what the command has left behind outside of its group, once it has ended by itself, and says so at the end of
   * its stderr.
   */
  endLeftovers(): Promise<void> {
    this.#sweeping ??= this.#endLeftovers().catch((error: unknown) => {
      this.#sweeping = undefined;
      throw error;
    });
    return this.#sweeping;
  }

  async #endLeftovers(): Promise<void> {
    const [begun, exit] = await Promise.all([this.#begun(), this.#exit()]);
    if (begun === undefined) return;
    // Most commands are short, and so is the list of what has begun since.
    const isShort = (exit?.at ?? Date.now()) - begun.at < shortMs;
    const among = isShort ? await beganAfter(begun.pid) : undefined;
    const ended: string[] = [];
    // One that is being killed may start another one.
    for (let round = 0; round < 5; round += 1) {
      const found = await processesWith(dirVariable, this.dir, among);
      let left = 0;
      for (const pid of found) {
        const line = await statOf(pid);
        // The group is killed by the shell that leads it, which may be about to.
        if (line === undefined || isZombie(line) || groupIn(line) === begun.pid) continue;
        left += 1;
        ended.push(`${programIn(line)} (pid ${pid})`);
        killOne(pid);
      }
      if (left === 0) break;
    }
    if (ended.length > 0) await this.#tellOfLeftovers([...new Set(ended)]);
  }

  async #tellOfLeftovers(ended: readonly string[]): Promise<void> {
    const more = ended.length > 10 ? ` and ${ended.length - 10} more` : '';
    const shown = `${ended.slice(0, 10).join(', ')}${more}`;
    await appendFile(
      join(this.dir, 'stderr'),
      `[keelson] The command has ended and left processes in sessions of their own, which were ended too: ${shown}\n`,
    );
  }

  async usage(): Promise<TaskUsage | undefined> {
    const [begun, exit] = await Promise.all([this.#begun(), this.#exit()]);
    if (begun === undefined) return undefined;
    const live = exit === undefined ? await sampleTree(begun.pid) : undefined;
    if (live !== undefined) this.#note(live);
    const wallMs = Math.max(0, (exit?.at ?? Date.now()) - begun.at);
    const cpuMs = exit?.cpuMs ?? live?.cpuMs;
    const peak = this.#peak;
    return {
      wallMs,
      ...(cpuMs === undefined ? {} : { cpuMs }),
      ...(cpuMs === undefined || wallMs === 0 ? {} : { avgCpuCores: cpuMs / wallMs }),
      ...(peak.samples === 0
        ? {}
        : {
            maxMemoryBytes: peak.memoryBytes,
            avgMemoryBytes: Math.round(peak.memorySum / peak.samples),
            maxCpuCores: peak.cpuCores,
            readBytes: peak.readBytes,
            writtenBytes: peak.writtenBytes,
          }),
    };
  }

  /** Looks at what it uses, and ends it when that is more than it was given. */
  async #sample(): Promise<void> {
    let before: { readonly at: number; readonly cpuMs: number } | undefined;
    for (;;) {
      const begun = await this.#begun();
      const tree = begun && (await sampleTree(begun.pid));
      if (tree === undefined && begun !== undefined) return;
      if (tree !== undefined) {
        this.#note(tree);
        const now = performance.now();
        if (before !== undefined && now - before.at > 100) {
          const cores = (tree.cpuMs - before.cpuMs) / (now - before.at);
          this.#peak.cpuCores = Math.max(this.#peak.cpuCores, cores);
        }
        before = { at: now, cpuMs: tree.cpuMs };
        const limit = this.#memoryBytes;
        if (limit !== undefined && tree.memoryBytes > limit) {
          const message = `It used ${mebibytes(tree.memoryBytes)} of memory and was given ${mebibytes(limit)}.`;
          await this.end({ state: 'failed', reason: 'oom', message }, 0);
          return;
        }
      }
      const ended = await Promise.race([this.#exited?.then(() => true), wait(sampleMs)]);
      if (ended === true) return;
    }
  }

  #note(tree: { readonly memoryBytes: number; readBytes: number; writtenBytes: number }): void {
    const peak = this.#peak;
    peak.memoryBytes = Math.max(peak.memoryBytes, tree.memoryBytes);
    peak.memorySum += tree.memoryBytes;
    peak.samples += 1;
    peak.readBytes = Math.max(peak.readBytes, tree.readBytes);
    peak.writtenBytes = Math.max(peak.writtenBytes, tree.writtenBytes);
  }

  async #judge(verdict: Verdict): Promise<void> {
    try {
      const text = JSON.stringify({ ...verdict, at: Date.now() });
      await writeFile(join(this.dir, 'verdict'), text, { flag: 'wx' });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EEXIST' && code !== 'ENOENT') throw error;
    }
  }

  async #verdict(): Promise<{ readonly verdict: Verdict; readonly at: number } | undefined> {
    const text = await readText(join(this.dir, 'verdict'));
    if (text === undefined || text === '') return undefined;
    const { at, ...verdict } = JSON.parse(text) as Verdict & { readonly at: number };
    return { verdict, at };
  }

  async #begun(): Promise<Begun | undefined> {
    const path = join(this.dir, 'pid');
    const line = (await readText(path))?.trim();
    if (line === undefined || line === '' || line === 'abandoned') return undefined;
    const { mtimeMs } = await stat(path);
    return {
      pid: Number.parseInt(line, 10),
      startTime: startTimeIn(line),
      at: Math.round(mtimeMs),
    };
  }

  /** Its exit, once that is written whole. */
  async #exit(): Promise<
    { readonly code: number; readonly at: number; readonly cpuMs: number } | undefined
  > {
    const path = join(this.dir, 'exit');
    const lines = (await readText(path))?.split('\n');
    if (lines === undefined || lines.length < 4) return undefined;
    const { mtimeMs } = await stat(path);
    const cpuMs = (lines[2] ?? '').split(' ').reduce((sum, time) => sum + millisecondsOf(time), 0);
    return { code: Number(lines[0]), at: Math.round(mtimeMs), cpuMs };
  }

  async #kill({ pid, startTime }: Begun, signal: NodeJS.Signals): Promise<void> {
    const leader = await statOf(pid);
    // The number is somebody else's by now. While the group lives, it is nobody else's.
    if (leader !== undefined && startTimeIn(leader) !== startTime) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  async #goneWithin({ pid, startTime }: Begun, ms: number): Promise<boolean> {
    const until = performance.now() + ms;
    for (let rest = 2; ; rest = Math.min(50, rest * 2)) {
      const leader = await statOf(pid);
      if (leader !== undefined && startTimeIn(leader) !== startTime) return true;
      if (!(await groupLives(pid))) return true;
      if (performance.now() > until) return false;
      await wait(rest);
    }
  }
}

/** By what all that a unit has started is found again. */
const dirVariable = 'KEELSON_TASK_DIR';

function killOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}

interface Begun {
  readonly pid: number;
  readonly startTime: string | undefined;
  readonly at: number;
}

async function isAlive({ pid, startTime }: Begun): Promise<boolean> {
  const line = await statOf(pid);
  return line !== undefined && !isZombie(line) && startTimeIn(line) === startTime;
}

function exitText(code: number): string {
  if (code === 126) return 'It ended with exit code 126: the command cannot be executed.';
  if (code === 127) return 'It ended with exit code 127: the command was not found.';
  if (code > 128) {
    const kill = code === 137 ? ' (SIGKILL: by the system for want of memory, or by somebody)' : '';
    return `It was ended by signal ${code - 128}${kill}.`;
  }
  return `It ended with exit code ${code}.`;
}

/** Of a time as the shell's `times` writes it: `0m0.130000s`. */
function millisecondsOf(time: string): number {
  const [, minutes, seconds] = /^(\d+)m([\d.]+)s$/.exec(time) ?? [];
  return minutes === undefined ? 0 : Number(minutes) * 60_000 + Number(seconds) * 1000;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
