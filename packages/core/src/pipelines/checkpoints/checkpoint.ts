import type { ArtifactSpace, ByteSource } from '../../contracts/artifact-store.ts';
import { decodeJson, type Json } from '../../json.ts';
import type { KeptCheckpoint, NewCheckpoint, StepCheckpoints } from './step-checkpoints.ts';

/** A checkpoint that a function has saved; reading it verifies it. */
export interface Checkpoint {
  /** 1 for the first of the step; higher is newer. */
  readonly version: number;
  /** Which attempt made it. */
  readonly attempt: number;
  readonly sizeBytes: number;
  /** A stream that fails with CORRUPT rather than hand over what does not match. */
  open(): Promise<ReadableStream<Uint8Array>>;
  /** All of it, in memory. */
  bytes(): Promise<Uint8Array>;
  json<T = Json>(): Promise<T>;
}

/** What a function has for going on where an earlier attempt was. */
export interface StepCheckpoint {
  /** The last one that was saved by any attempt of this step; undefined when there is none. */
  last(): Promise<Checkpoint | undefined>;
  /**
   * Saves bytes, a Blob, a stream or `{ path }`, and answers once they survive whatever happens to this process: all
   * of it or nothing. One at a time, in the order of the calls. LOST when another process has taken the step over.
   */
  save(source: ByteSource): Promise<Checkpoint>;
}

/** What checkpoints of one attempt need. */
export interface CheckpointParts {
  readonly space: ArtifactSpace;
  readonly checkpoints: StepCheckpoints;
  readonly stepExecution: string;
  readonly signal: AbortSignal;
  readonly save: (made: NewCheckpoint) => Promise<KeptCheckpoint>;
}

/** The checkpoints of a function's attempt. */
export function openCheckpoint(parts: CheckpointParts): StepCheckpoint {
  const { space, checkpoints, stepExecution, signal } = parts;
  let saving: Promise<unknown> = Promise.resolve();

  function made({ sequence, attempt, sizeBytes, sha256 }: KeptCheckpoint): Checkpoint {
    const open = () => space.open(sha256, undefined, signal);
    const bytes = async (): Promise<Uint8Array> => {
      const all: Uint8Array[] = [];
      for await (const part of await open()) all.push(part);
      return Buffer.concat(all);
    };
    return {
      version: sequence,
      attempt,
      sizeBytes,
      open,
      bytes,
      json: async <T>() => decodeJson(new TextDecoder().decode(await bytes())) as T,
    };
  }

  return {
    async last() {
      const [newest] = await checkpoints.list(stepExecution);
      return newest && made(newest);
    },

    save(source) {
      const saved = saving.then(async () => {
        const { sha256, sizeBytes } = await space.put(source, { signal });
        return made(await parts.save({ sha256, sizeBytes }));
      });
      saving = saved.catch(() => undefined);
      return saved;
    },
  };
}
