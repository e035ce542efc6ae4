import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { JsonObject } from '../../json.ts';

/** Something that a process did, as it stands in the log. */
export type Effect<E extends object = JsonObject> = E & {
  readonly pid: number;
  /** Epoch ms. */
  readonly at: number;
};

/**
 * A file to which many processes append what they did. What `append` has returned from is there however
 * the process ends afterwards; the order of the lines is the order of the writes.
 */
export class EffectsLog implements Disposable {
  readonly #file: number;
  #open = true;

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  /** Appends one effect, in one write. */
  append(effect: object): void {
    const line = JSON.stringify({ ...effect, pid: process.pid, at: Date.now() });
    // A process that is killed within a write leaves a piece of a line: it ends with the next one.
    writeSync(this.#file, `\n${line}\n`);
  }

  [Symbol.dispose](): void {
    if (this.#open) closeSync(this.#file);
    this.#open = false;
  }
}

/**
 * The effects of a log, oldest first. A piece of a line, whose writer was killed within its write, was
 * never acknowledged and is left out; none when there is no file.
 */
export function readEffects<E extends object = JsonObject>(path: string): readonly Effect<E>[] {
  return contentOf(path)
    .split('\n')
    .flatMap((line) => {
      if (line === '') return [];
      try {
        return [JSON.parse(line) as Effect<E>];
      } catch (error) {
        if (error instanceof SyntaxError) return [];
        throw error;
      }
    });
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
