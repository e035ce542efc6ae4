import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AttemptKey } from '../../contracts/executor.ts';
import { isTaskId } from '../../contracts/executor-law.ts';
import type { JsonObject } from '../../json.ts';
import { describeOwner } from '../../process-owner.ts';
import { uuidV7 } from '../../uuid.ts';
import { isZombie, startTimeIn, statOf } from './process-tree.ts';

/** What is written down of a task before it starts. */
export interface TaskFile {
  readonly key: AttemptKey;
  /** In the names of its processes' directories: a start that was given up finds no other task there. */
  readonly nonce: string;
  readonly units: number;
  readonly memoryBytes?: number;
  readonly deadlineAt?: number;
  readonly graceMs: number;
  readonly creator: JsonObject;
  readonly module: boolean;
}

/**
 * The directories of tasks, one each by its id, which all processes of a machine share: a task is there as a whole or
 * not at all, also when who makes or removes it is killed.
 */
export class TaskDirectories {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** What is written down of a task; undefined where there is none. */
  async read(id: string): Promise<TaskFile | undefined> {
    return isTaskId(id) ? readTask(join(this.#dir, id)) : undefined;
  }

  /** Where a process of a task works. */
  unit(id: string, file: TaskFile, index: number): string {
    return join(this.#dir, id, unitName(index, file));
  }

  /** All tasks; what processes that died have left half made or half removed is cleared on the way. */
  async *all(): AsyncGenerator<readonly [id: string, file: TaskFile], void, undefined> {
    for (const name of await namesIn(this.#dir)) {
      if (name.startsWith('.')) await this.#clearAside(name);
      const file = await this.read(name);
      if (file !== undefined) yield [name, file];
      else if (isTaskId(name)) await this.#clearRemains(name);
    }
  }

  /** Puts a task in its place, unless one of its id is there that has begun, or may. */
  async claim(
    id: string,
    file: TaskFile,
    parts: {
      /** What each of its processes is given, as JSON text; nothing where it is no module. */
      readonly input?: string;
      neverBegins(there: TaskFile): Promise<boolean>;
    },
  ): Promise<boolean> {
    const aside = join(this.#dir, asideName(file.nonce));
    await mkdir(aside, { recursive: true });
    try {
      await writeFile(join(aside, 'task.json'), JSON.stringify(file));
      for (let i = 0; i < file.units; i += 1) {
        const unit = join(aside, unitName(i, file));
        await mkdir(unit);
        if (parts.input !== undefined) await writeFile(join(unit, 'task.json'), parts.input);
      }
      for (;;) {
        try {
          await rename(aside, join(this.#dir, id));
          return true;
        } catch (error) {
          const { code } = error as NodeJS.ErrnoException;
          if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
        }
        const there = await this.read(id);
        if (there === undefined) await this.#clearRemains(id);
        else if (await parts.neverBegins(there)) await this.discard(id);
        else return false;
      }
    } finally {
      await rm(aside, { recursive: true, force: true });
    }
  }

  /**
   * Out of the way in one step, then removed: of a process that dies meanwhile whoever lists next clears the rest. Removed
   * in place, what has lost its `task.json` first would be nobody's for ever.
   */
  async discard(id: string): Promise<void> {
    const aside = join(this.#dir, asideName(uuidV7()));
    try {
      await rename(join(this.#dir, id), aside);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    await rm(aside, { recursive: true, force: true });
  }

  /** What a process that died in the middle of making a task, or of removing one, has left. */
  async #clearAside(name: string): Promise<void> {
    const [, pid, startTime] = name.split('.');
    const stat = await statOf(Number(pid));
    const lives = stat !== undefined && !isZombie(stat) && startTimeIn(stat) === startTime;
    if (lives) return;
    await rm(join(this.#dir, name), { recursive: true, force: true });
  }

  /** A directory that was removed in place, and not to its end, as it was once done: nobody has it, and it is in the way. */
  async #clearRemains(id: string): Promise<void> {
    const left = await namesIn(join(this.#dir, id));
    if (left.length > 0 && !left.includes('task.json')) await this.discard(id);
  }
}

async function readTask(dir: string): Promise<TaskFile | undefined> {
  try {
    return JSON.parse(await readFile(join(dir, 'task.json'), 'utf8')) as TaskFile;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Not there, or left in the middle of a write.
    if (code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** For what this process is making or removing: whoever finds it later sees whether that goes on. */
function asideName(id: string): string {
  const { pid, startTime } = describeOwner();
  return `.${String(pid)}.${String(startTime)}.${id}`;
}

function unitName(index: number, { nonce }: TaskFile): string {
  return `p${index}-${nonce}`;
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
