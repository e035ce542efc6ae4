import { assertList, assertObject } from '../../check-options.ts';
import type { ModelFiles } from '../../contracts/model-format.ts';
import { assertText } from '../../json.ts';
import { damaged, refused } from './model-fault.ts';

const headBytes = 4096;
const maxFiles = 100_000;
const maxPath = 4096;

/**
 * `files` with their promises checked: paths are texts and given once, sizes are integers, answers are as
 * long as what was asked for (CORRUPT otherwise). The first bytes of each file are read once, however many
 * readers look at them.
 */
export function checkedFiles(files: ModelFiles): ModelFiles {
  assertObject(files, 'readModelFacts');
  assertList(files.files, 'The files of a model');
  const sizes = new Map<string, number>();
  if (files.files.length > maxFiles)
    throw refused('list', `has ${files.files.length} entries; at most ${maxFiles} are taken`);
  for (const file of files.files) {
    const { path, sizeBytes } = assertObject(file, 'A list of model files');
    assertText(path, 'The path of a model file', maxPath);
    if (sizes.has(path)) throw refused(path, 'is listed twice');
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
      throw refused(path, `has the size ${sizeBytes}, which is no number of bytes`);
    sizes.set(path, sizeBytes);
  }
  const heads = new Map<string, Promise<Uint8Array>>();

  async function readExactly(path: string, start: number, end: number): Promise<Uint8Array> {
    const bytes = await files.read(path, { start, end });
    if (bytes.length === end - start) return bytes;
    throw damaged(
      path,
      `gave ${bytes.length} bytes where ${end - start} were to be read at ${start}`,
    );
  }

  return {
    files: files.files,
    async read(path, range) {
      const sizeBytes = sizes.get(path);
      if (sizeBytes === undefined) throw refused(path, 'is not among the files of the model');
      const { start, end } = range ?? { start: 0, end: sizeBytes };
      if (start < 0 || end < start || end > sizeBytes)
        throw damaged(path, `ends at ${sizeBytes}; bytes ${start} to ${end} of it were to be read`);
      if (start === end) return new Uint8Array(0);
      if (end > headBytes) return readExactly(path, start, end);
      let head = heads.get(path);
      if (head === undefined) {
        head = readExactly(path, 0, Math.min(headBytes, sizeBytes));
        heads.set(path, head);
      }
      return (await head).subarray(start, end);
    },
  };
}
