import type { ArtifactSpace, ByteRange, ByteSource } from '../contracts/artifact-store.ts';
import { KeelsonError } from '../errors.ts';
import { decodeJson, type Json, type JsonObject } from '../json.ts';

/** Where and what the bytes of an artifact are; plain JSON. */
export interface ArtifactFacts {
  readonly name: string;
  /** The logical path: `pipelines/{pipeline}/runs/{execution}/steps/{step}/outputs/{name}`. */
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly mimeType: string;
}

/** How to describe an output. */
export interface OutputOptions {
  /** By the name's ending when left out. */
  readonly mimeType?: string;
}

/** Takes the bytes that a step puts out. */
export interface StepOutputs {
  /**
   * Stores bytes, a Blob, a stream or `{ path }` and answers a reference, to be returned from the step
   * (alone or anywhere in its output). CONFLICT when this attempt has put out that name before.
   */
  artifact(name: string, source: ByteSource, options?: OutputOptions): Promise<StepArtifact>;
  /** {@link artifact} of a JSON value; NaN and its like are kept. */
  json(name: string, value: unknown): Promise<StepArtifact>;
}

/** Bytes that a step has put out; reading them verifies them. */
export class StepArtifact implements ArtifactFacts {
  readonly name: string;
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly mimeType: string;
  readonly #space: Pick<ArtifactSpace, 'open'>;

  constructor(facts: ArtifactFacts, space: Pick<ArtifactSpace, 'open'>) {
    this.name = facts.name;
    this.path = facts.path;
    this.sha256 = facts.sha256;
    this.sizeBytes = facts.sizeBytes;
    this.mimeType = facts.mimeType;
    this.#space = space;
  }

  /** The bytes as a stream, which fails with CORRUPT rather than hand over what does not match. */
  open(range?: ByteRange, signal?: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    return this.#space.open(this.sha256, range, signal);
  }

  /** All of the bytes, in memory. */
  async bytes(): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for await (const part of await this.open()) parts.push(part);
    return Buffer.concat(parts);
  }

  /** The bytes as UTF-8 text. */
  async text(): Promise<string> {
    return new TextDecoder().decode(await this.bytes());
  }

  /** The bytes as JSON. CORRUPT when they are none. */
  async json<T = Json>(): Promise<T> {
    return decodeJson(await this.text()) as T;
  }

  toJSON(): ArtifactFacts {
    const { name, path, sha256, sizeBytes, mimeType } = this;
    return { name, path, sha256, sizeBytes, mimeType };
  }
}

const tag = '$artifact';

/** `value` with each {@link StepArtifact} in it as `{ $artifact: facts }`; INVALID for what is no JSON. */
export function packValue(value: unknown): unknown {
  return pack(value, 0);
}

function pack(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth > 200) return value;
  if (value instanceof StepArtifact) return { [tag]: { ...value.toJSON() } };
  if (Array.isArray(value)) return Array.from(value, (item) => pack(item, depth + 1));
  const prototype = Object.getPrototypeOf(value);
  // Left as it is, so that encoding refuses it and names the place.
  if (prototype !== Object.prototype && prototype !== null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      /^\$+artifact$/.test(key) ? `$${key}` : key,
      pack(item, depth + 1),
    ]),
  );
}

/** The value that {@link packValue} made `packed` of. */
export function unpackValue(packed: Json, space: ArtifactSpace): unknown {
  if (typeof packed !== 'object' || packed === null) return packed;
  if (Array.isArray(packed)) return packed.map((item) => unpackValue(item, space));
  const entries = Object.entries(packed as JsonObject);
  const only = entries[0];
  if (entries.length === 1 && only !== undefined && only[0] === tag) {
    return new StepArtifact(artifactFacts(only[1]), space);
  }
  return Object.fromEntries(
    entries.map(([key, item]) => [
      /^\$\$+artifact$/.test(key) ? key.slice(1) : key,
      unpackValue(item, space),
    ]),
  );
}

/** The artifacts that a packed value refers to. */
export function artifactsIn(packed: Json): readonly ArtifactFacts[] {
  if (typeof packed !== 'object' || packed === null) return [];
  if (Array.isArray(packed)) return packed.flatMap(artifactsIn);
  const entries = Object.entries(packed as JsonObject);
  const only = entries[0];
  if (entries.length === 1 && only !== undefined && only[0] === tag)
    return [artifactFacts(only[1])];
  return entries.flatMap(([, item]) => artifactsIn(item));
}

function artifactFacts(value: Json): ArtifactFacts {
  const facts = value as unknown as ArtifactFacts;
  if (typeof facts?.sha256 === 'string' && typeof facts.path === 'string') return facts;
  throw new KeelsonError('CORRUPT', 'A stored reference to an artifact cannot be read.');
}
