import { createHash } from 'node:crypto';
import { type ByteSource, KeelsonError } from '@keelson/core';
import { z } from 'zod';
import { badInput } from './read-input.ts';

/** What to register, and the files, to be read in turn. */
export interface RegisteredFiles {
  readonly options: Readonly<Record<string, unknown>>;
  readonly files: Readonly<Record<string, ByteSource>>;
}

const maxHeadBytes = 8 * 2 ** 20;
const head = z.strictObject({
  options: z.record(z.string(), z.unknown()),
  files: z
    .array(
      z.strictObject({
        path: z.string().min(1).max(1024),
        sizeBytes: z.number().int().min(0),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
      }),
    )
    .max(10_000),
});

/** The files of a request to register a version: out of JSON, or as they come in its bytes. */
export async function registered(
  body:
    | {
        readonly options: Readonly<Record<string, unknown>>;
        readonly files: Readonly<Record<string, string>>;
      }
    | undefined,
  bytes: AsyncIterable<Uint8Array>,
): Promise<RegisteredFiles> {
  if (body !== undefined) {
    const files = Object.entries(body.files).map(([path, text]) => [path, bytesOf(path, text)]);
    return { options: body.options, files: Object.fromEntries(files) };
  }
  const reader = new ByteReader(bytes);
  const length = (await reader.take(4)).readUInt32LE();
  if (length > maxHeadBytes) throw badInput([{ path: 'body', message: 'has too long a head' }]);
  const checked = head.safeParse(jsonOf(await reader.take(length)));
  if (!checked.success) {
    const problems = checked.error.issues.map(({ path, message }) => ({
      path: ['body', ...path.map(String)].join('.'),
      message,
    }));
    throw badInput(problems);
  }
  const { options, files } = checked.data;
  // Names that a plain object would take for its own.
  const sources = files.map((file): [string, ByteSource] => [file.path, reader.file(file)]);
  return { options, files: Object.fromEntries(sources) };
}

function bytesOf(path: string, text: string): Uint8Array {
  if (/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) return Buffer.from(text, 'base64');
  throw badInput([{ path: `body.files.${path}`, message: 'is no base64' }]);
}

/** The value of a head. INVALID for no JSON. */
export function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw badInput([{ path: 'body', message: 'has a head that is no JSON' }]);
  }
}

/** Takes pieces off a stream, as many bytes as are asked for. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array(0);

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#source = bytes[Symbol.asyncIterator]();
  }

  async take(count: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for await (const part of this.pieces(count)) parts.push(part);
    return Buffer.concat(parts);
  }

  /** A file, read as it comes; CORRUPT where it is not what its digest says. */
  async *file(file: {
    readonly path: string;
    readonly sizeBytes: number;
    readonly sha256: string;
  }): AsyncGenerator<Uint8Array, void, undefined> {
    const hash = createHash('sha256');
    for await (const piece of this.pieces(file.sizeBytes)) {
      hash.update(piece);
      yield piece;
    }
    if (hash.digest('hex') === file.sha256) return;
    const message = `${file.path} arrived with other bytes than its digest says; send it again.`;
    throw new KeelsonError('INVALID', message, { details: { path: file.path } });
  }

  /** All that is left. */
  async *rest(): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#held.byteLength > 0) yield this.#held;
    for (let next = await this.#source.next(); next.done !== true; ) {
      yield next.value;
      next = await this.#source.next();
    }
  }

  async *pieces(count: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let left = count; left > 0; ) {
      if (this.#held.byteLength === 0) {
        const next = await this.#source.next();
        if (next.done === true) {
          throw badInput([{ path: 'body', message: `ends ${left} bytes too early` }]);
        }
        this.#held = next.value;
      }
      const piece = this.#held.subarray(0, left);
      this.#held = this.#held.subarray(piece.byteLength);
      left -= piece.byteLength;
      if (piece.byteLength > 0) yield piece;
    }
  }
}
