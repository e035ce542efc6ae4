import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ModelFiles } from '../../src/contracts/model-format.ts';

/** Where the models lie that tests read. */
export const modelsDirectory = fileURLToPath(new URL('.', import.meta.url));

/** Files in memory, and how much was read of them. */
export interface MemoryFiles extends ModelFiles {
  readonly bytesRead: () => number;
  readonly largestRead: () => number;
}

/** A model of the given files. */
export function filesOf(contents: Readonly<Record<string, Uint8Array | string>>): MemoryFiles {
  const bytes = new Map(
    Object.entries(contents).map(([path, content]) => [path, Buffer.from(content as string)]),
  );
  return filesFrom(
    [...bytes].map(([path, { length: sizeBytes }]) => ({ path, sizeBytes })),
    (path, start, end) => (bytes.get(path) as Buffer).subarray(start, end),
  );
}

/** A model whose bytes are made when they are asked for: files of any size. */
export function filesFrom(
  files: ModelFiles['files'],
  read: (path: string, start: number, end: number) => Uint8Array,
): MemoryFiles {
  let total = 0;
  let largest = 0;
  return {
    files,
    async read(path, range) {
      const size = files.find((file) => file.path === path)?.sizeBytes ?? 0;
      const { start, end } = range ?? { start: 0, end: size };
      total += end - start;
      largest = Math.max(largest, end - start);
      return read(path, start, end);
    },
    bytesRead: () => total,
    largestRead: () => largest,
  };
}

/** The model in a directory of `test/models`, or some of its files. */
export function modelIn(directory: string, ...only: readonly string[]): MemoryFiles {
  const root = join(modelsDirectory, directory);
  const paths = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
  const taken = only.length === 0 ? paths : only;
  return filesOf(Object.fromEntries(taken.map((path) => [path, readFileSync(join(root, path))])));
}
