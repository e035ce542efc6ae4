import { createReadStream } from 'node:fs';
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import type { ModuleTask } from '../../contracts/module-task.ts';
import type { Checkpoint, StepCheckpoint } from '../../contracts/step-checkpoint.ts';
import { KeelsonError } from '../../errors.ts';
import { decodeJson } from '../../json.ts';
import { writeSource } from './write-source.ts';

/** The last one and the one before it, should whoever keeps them still be at that. */
const keptAtOnce = 2;

/**
 * Checkpoints of a module where there is no platform: files `v1`, `v2` … of the task's directory, each written aside,
 * synced and renamed, so that whoever supervises the task finds and keeps them.
 */
export function fileCheckpoint(task: ModuleTask): StepCheckpoint {
  const { checkpointDir: dir } = task;
  /** Which attempt made those of this process. */
  const own = new Set<number>();
  let saving: Promise<unknown> = Promise.resolve();

  async function versions(): Promise<readonly number[]> {
    const names = dir === undefined ? [] : await readdir(dir);
    return names
      .flatMap((name) => (/^v\d{1,15}$/.test(name) ? [Number(name.slice(1))] : []))
      .toSorted((a, b) => b - a);
  }

  function attemptOf(version: number): number {
    if (own.has(version)) return task.attempt;
    const { checkpointPath, checkpointAttempt } = task;
    const told = checkpointPath !== undefined && basename(checkpointPath) === `v${version}`;
    return (told ? checkpointAttempt : undefined) ?? Math.max(1, task.attempt - 1);
  }

  async function at(path: string, version: number): Promise<Checkpoint> {
    const facts = await stat(path);
    if (!facts.isFile()) {
      throw new KeelsonError(
        'INVALID',
        `The last checkpoint, ${path}, is no file: what was written as a directory is read at \`checkpointPath\`.`,
      );
    }
    return {
      version,
      attempt: attemptOf(version),
      sizeBytes: facts.size,
      open: async () =>
        Readable.toWeb(createReadStream(path)) as unknown as ReadableStream<Uint8Array>,
      bytes: () => readFile(path),
      json: async <T>() => decodeJson(await readFile(path, 'utf8')) as T,
    };
  }

  async function save(source: Parameters<StepCheckpoint['save']>[0]): Promise<Checkpoint> {
    if (dir === undefined) {
      throw new KeelsonError('UNSUPPORTED', 'This task has no directory for checkpoints.');
    }
    const there = await versions();
    const version = (there[0] ?? 0) + 1;
    const [path, aside] = [join(dir, `v${version}`), join(dir, `v${version}.tmp`)];
    try {
      await writeSource(aside, source, { sync: true });
      await rename(aside, path);
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
    const directory = await open(dir);
    await directory.sync().finally(() => directory.close());
    own.add(version);
    for (const old of there.slice(keptAtOnce - 1)) {
      await rm(join(dir, `v${old}`), { recursive: true, force: true });
    }
    return at(path, version);
  }

  return {
    async last() {
      const [newest] = await versions();
      if (newest === undefined || dir === undefined) return undefined;
      return at(join(dir, `v${newest}`), newest);
    },

    save(source) {
      const saved = saving.then(() => save(source));
      saving = saved.catch(() => undefined);
      return saved;
    },
  };
}
