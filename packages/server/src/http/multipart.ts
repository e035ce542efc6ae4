import { KeelsonError } from '@keelson/core';

/** One part of a multipart body. Its bytes are read, or passed over, before the next part comes. */
export interface Part {
  readonly name: string | undefined;
  readonly fileName: string | undefined;
  readonly mediaType: string | undefined;
  readonly bytes: AsyncIterable<Uint8Array>;
}

const maxHeadBytes = 16 * 1024;

/** The boundary that a `content-type` of `multipart/form-data` names. */
export function boundaryOf(contentType: string | undefined): string | undefined {
  const [, quoted, plain] =
    /^multipart\/form-data\s*;.*?\bboundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(
      contentType ?? '',
    ) ?? [];
  return quoted ?? plain;
}

/**
 * The parts of a multipart body (RFC 7578) as they come: a file of gigabytes goes through no memory. INVALID for what
 * ends early or is malformed.
 */
export async function* readParts(
  body: AsyncIterable<Uint8Array>,
  boundary: string,
): AsyncGenerator<Part, void, undefined> {
  const reader = new BoundaryReader(body, boundary);
  if (!(await reader.skipPreamble())) return;
  for (;;) {
    const head = await reader.head();
    if (head === undefined) return;
    const bytes = reader.content();
    yield { ...partOf(head), bytes };
    // What the reader of the part has left.
    for await (const _ of bytes);
  }
}

/** The whole text of a part. INVALID when it is longer than `maxBytes`. */
export async function partText(
  { name, bytes }: Part,
  maxBytes: number = 64 * 1024,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.byteLength;
    if (size > maxBytes) throw malformed(`The part ${name} is longer than ${maxBytes} bytes.`);
    chunks.push(Uint8Array.from(chunk));
  }
  return Buffer.concat(chunks).toString('utf8');
}

class BoundaryReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #delimiter: Buffer;
  #held: Buffer = Buffer.alloc(0);
  #ended = false;

  constructor(body: AsyncIterable<Uint8Array>, boundary: string) {
    this.#source = body[Symbol.asyncIterator]();
    this.#delimiter = Buffer.from(`\r\n--${boundary}`);
  }

  /** Answers whether there is a part. */
  async skipPreamble(): Promise<boolean> {
    // The first boundary may stand at the very start.
    this.#held = Buffer.from('\r\n');
    for await (const _ of this.content());
    return true;
  }

  /** The head of the next part; undefined after the last one. */
  async head(): Promise<string | undefined> {
    while (this.#held.length < 2) await this.#more();
    if (this.#held.subarray(0, 2).toString('latin1') === '--') {
      await this.#drain();
      return undefined;
    }
    for (;;) {
      const end = this.#held.indexOf('\r\n\r\n');
      if (end >= 0) {
        const head = this.#held.subarray(0, end).toString('utf8');
        this.#held = this.#held.subarray(end + 4);
        // An empty part: its delimiter begins with the line end that was the head's.
        if (this.#held.subarray(0, this.#delimiter.length - 2).equals(this.#delimiter.subarray(2)))
          this.#held = Buffer.concat([Buffer.from('\r\n'), this.#held]);
        return head;
      }
      if (this.#held.length > maxHeadBytes)
        throw malformed('A part has a head of more than 16 KiB.');
      await this.#more();
    }
  }

  /** All up to the next delimiter, which is taken too. Read again it goes on where it was. */
  content(): AsyncIterable<Uint8Array> {
    let done = false;
    const next = async (): Promise<IteratorResult<Uint8Array, undefined>> => {
      while (!done) {
        const at = this.#held.indexOf(this.#delimiter);
        if (at >= 0) {
          const piece = this.#held.subarray(0, at);
          this.#held = this.#held.subarray(at + this.#delimiter.length);
          done = true;
          if (piece.length > 0) return { done: false, value: piece };
          break;
        }
        // The end of what is held may be the beginning of a delimiter.
        const sure = this.#held.length - this.#delimiter.length + 1;
        if (sure > 0) {
          const piece = this.#held.subarray(0, sure);
          this.#held = this.#held.subarray(sure);
          return { done: false, value: piece };
        }
        await this.#more();
      }
      return { done: true, value: undefined };
    };
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }

  async #more(): Promise<void> {
    const { done, value } = this.#ended
      ? { done: true, value: undefined }
      : await this.#source.next();
    if (done === true || value === undefined) {
      this.#ended = true;
      throw malformed('The body ends before its last boundary.');
    }
    this.#held = this.#held.length === 0 ? Buffer.from(value) : Buffer.concat([this.#held, value]);
  }

  async #drain(): Promise<void> {
    while (!this.#ended) this.#ended = (await this.#source.next()).done === true;
  }
}

function partOf(head: string): Omit<Part, 'bytes'> {
  const headers = new Map(
    head.split('\r\n').map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()] as const;
    }),
  );
  const disposition = headers.get('content-disposition') ?? '';
  const quoted = (key: string): string | undefined =>
    new RegExp(`[;\\s]${key}="((?:[^"\\\\]|\\\\.)*)"`, 'i')
      .exec(disposition)?.[1]
      ?.replace(/\\(.)/g, '$1') ??
    new RegExp(`[;\\s]${key}=([^;"\\s]+)`, 'i').exec(disposition)?.[1];
  return {
    name: quoted('name'),
    fileName: quoted('filename'),
    mediaType: headers.get('content-type'),
  };
}

function malformed(message: string): KeelsonError {
  return new KeelsonError('INVALID', `The multipart body cannot be read: ${message}`);
}
