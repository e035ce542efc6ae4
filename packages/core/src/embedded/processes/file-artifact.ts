import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { ByteRange } from '../../contracts/artifact-store.ts';
import { KeelsonError } from '../../errors.ts';
import { decodeJson, type Json, type JsonObject } from '../../json.ts';

/** An artifact of an input as a file: what a step's artifact is where there is no platform. */
export class FileArtifact {
  readonly name: string;
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly mimeType: string;
  /** Where its bytes lie, for programs that take a file; not to be changed. */
  readonly file: string;

  constructor(facts: JsonObject, file: string) {
    this.name = String(facts['name']);
    this.path = String(facts['path']);
    this.sha256 = String(facts['sha256']);
    this.sizeBytes = Number(facts['sizeBytes']);
    this.mimeType = String(facts['mimeType']);
    this.file = file;
  }

  /** The bytes as a stream. INVALID for a range outside them; the end is excluded. */
  async open(range: ByteRange = {}, signal?: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const { start = 0, end = this.sizeBytes } = range;
    const whole = Number.isSafeInteger(start) && Number.isSafeInteger(end);
    if (!whole || start < 0 || end < start || end > this.sizeBytes) {
      throw new KeelsonError(
        'INVALID',
        `The range ${start} to ${end} lies outside the ${this.sizeBytes} bytes of ${this.path}.`,
      );
    }
    const bytes =
      start === end
        ? Readable.from([])
        : createReadStream(this.file, { start, end: end - 1, ...(signal && { signal }) });
    return Readable.toWeb(bytes) as unknown as ReadableStream<Uint8Array>;
  }

  /** All of the bytes, in memory. */
  async bytes(): Promise<Uint8Array> {
    return await readFile(this.file);
  }

  /** The bytes as UTF-8 text. */
  async text(): Promise<string> {
    return new TextDecoder().decode(await this.bytes());
  }

  /** The bytes as JSON; NaN and its like are kept. CORRUPT when they are none. */
  async json<T = Json>(): Promise<T> {
    return decodeJson(await this.text()) as T;
  }

  toJSON(): JsonObject {
    const { name, path, sha256, sizeBytes, mimeType } = this;
    return { name, path, sha256, sizeBytes, mimeType };
  }
}
