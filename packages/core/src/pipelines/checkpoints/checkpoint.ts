import type { ArtifactSpace } from '../../contracts/artifact-store.ts';
import type { Checkpoint, StepCheckpoint } from '../../contracts/step-checkpoint.ts';
import { decodeJson } from '../../json.ts';
import type { KeptCheckpoint, NewCheckpoint, StepCheckpoints } from './step-checkpoints.ts';

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
