import { createReadStream } from 'node:fs';
import { chmod, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { KeelsonError } from '../../errors.ts';
import { decodeJson, type JsonObject } from '../../json.ts';
import { uuidV7 } from '../../uuid.ts';

/** What a pack begins with, as a line of JSON; the bytes of the files follow in this order. */
interface PackHead {
  /** Whether it stands for a file rather than a directory. */
  readonly single: boolean;
  readonly files: readonly { readonly path: string; readonly sizeBytes: number }[];
}

const maxHead = 64 * 2 ** 20;

/**
 * A file or directory as one stream of bytes, so that a checkpoint is one content: whole or not at all. Links and
 * devices are left out. NOT_FOUND for what is gone or changes meanwhile.
 */
export async function* packCheckpoint(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  const head = await headOf(path);
  yield Buffer.from(`${JSON.stringify(head)}\n`);
  for (const file of head.files) {
    let left = file.sizeBytes;
    const from = head.single ? path : join(path, file.path);
    for await (const part of createReadStream(from) as AsyncIterable<Buffer>) {
      left -= part.length;
      if (left < 0) break;
      yield part;
    }
    if (left !== 0) throw new KeelsonError('NOT_FOUND', `${from} has changed while it was read.`);
  }
}

async function headOf(path: string): Promise<PackHead> {
  const facts = await lstat(path);
  if (facts.isFile()) return { single: true, files: [{ path: 'file', sizeBytes: facts.size }] };
  const files: { path: string; sizeBytes: number }[] = [];
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    const { size } = await lstat(file);
    files.push({ path: file.slice(path.length + 1).replaceAll('\\', '/'), sizeBytes: size });
  }
  return { single: false, files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)) };
}

/**
 * Writes what was packed to `target`, which appears whole or not at all. CORRUPT for what is no pack, or leads out of
 * its directory.
 */
export async function unpackCheckpoint(
  packed: AsyncIterable<Uint8Array>,
  target: string,
): Promise<void> {
  const aside = join(dirname(target), `.${uuidV7()}.tmp`);
  const bytes = new ByteReader(packed);
  try {
    const { single, files } = readHead(await bytes.line(maxHead));
    if (!single) await mkdir(aside);
    for (const { path, sizeBytes } of files) {
      const to = single ? aside : join(aside, path);
      await mkdir(dirname(to), { recursive: true });
      const file = await open(to, 'wx');
      try {
        for await (const part of bytes.take(sizeBytes)) await file.writeFile(part);
      } finally {
        await file.close();
      }
      // A task may run as another user.
      await chmod(to, 0o666);
    }
    if (!(await bytes.ended())) throw corrupt();
    if (!single) await openToAll(aside);
    await rename(aside, target);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    throw error;
  }
}

async function openToAll(dir: string): Promise<void> {
  await chmod(dir, 0o777);
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) await chmod(join(entry.parentPath, entry.name), 0o777);
  }
}

function readHead(line: string): PackHead {
  const head = decodeJson(line) as JsonObject as unknown as PackHead;
  const sound =
    Array.isArray(head?.files) &&
    head.files.every(({ path, sizeBytes }: PackHead['files'][number]) => {
      const parts = String(path).split('/');
      const below = parts.every((part) => part !== '' && part !== '.' && part !== '..');
      return below && Number.isSafeInteger(sizeBytes) && sizeBytes >= 0;
    });
  if (sound && (!head.single || head.files.length === 1)) return head;
  throw corrupt();
}

function corrupt(): KeelsonError {
  return new KeelsonError('CORRUPT', 'A kept checkpoint cannot be unpacked.');
}

/** Takes bytes of a stream piece by piece. */
class ByteReader {
  readonly #from: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(from: AsyncIterable<Uint8Array>) {
    this.#from = from[Symbol.asyncIterator]();
  }

  async line(maxLength: number): Promise<string> {
    const parts: Uint8Array[] = [];
    for (let length = 0; length <= maxLength; ) {
      if (!(await this.#fill())) throw corrupt();
      const end = this.#rest.indexOf(10);
      const part = end === -1 ? this.#rest : this.#rest.subarray(0, end);
      parts.push(part);
      length += part.length;
      this.#rest = this.#rest.subarray(end === -1 ? part.length : end + 1);
      if (end !== -1) return Buffer.concat(parts).toString('utf8');
    }
    throw corrupt();
  }

  async *take(count: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let left = count; left > 0; ) {
      if (!(await this.#fill())) throw corrupt();
      const part = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(part.length);
      left -= part.length;
      yield part;
    }
  }

  /** Whether nothing is left; reads to the end, where the digest is checked. */
  async ended(): Promise<boolean> {
    return !(await this.#fill());
  }

  async #fill(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#from.next();
      if (done === true) return false;
      this.#rest = value;
    }
    return true;
  }
}
