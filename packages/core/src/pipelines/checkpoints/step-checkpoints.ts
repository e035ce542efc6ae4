import type { NamedContents } from '../../contracts/caretaker.ts';
import type { Change, ClaimKey } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { commitChanges, decideAndCommit } from '../../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import { hold } from '../changes/held-step.ts';
import { derivedId } from '../execution.ts';
import type { ExecutionRecords } from '../execution-records.ts';
import { type StepState, stepFromRecord, stepLabel } from '../step-execution.ts';

/** A complete checkpoint in the artifact store. */
export interface KeptCheckpoint {
  readonly id: string;
  readonly revision: number;
  readonly stepExecution: string;
  /** Higher is newer. */
  readonly sequence: number;
  /** Which attempt made it. */
  readonly attempt: number;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** Content that is about to be a checkpoint. */
export interface NewCheckpoint {
  readonly sha256: string;
  readonly sizeBytes: number;
  /** One more than the newest when left out. */
  readonly sequence?: number;
}

/** Checkpoints of steps in the artifact store: each one a record, made in one commit under the step's claim. */
export interface StepCheckpoints {
  /** Of a step, newest first. */
  list(stepExecution: string): Promise<readonly KeptCheckpoint[]>;
  /**
   * Keeps one and forgets those before the last; answers it, or the newest where that is newer. LOST when the attempt
   * is not this process's any more.
   */
  save(claim: () => ClaimKey, attempt: number, made: NewCheckpoint): Promise<KeptCheckpoint>;
  /** Forgets all of a step; garbage collection takes the contents. */
  forget(stepExecution: string): Promise<void>;
  /** Forgets those of steps that have completed or are gone; answers how many. */
  sweep(signal?: AbortSignal): Promise<number>;
}

const kind = 'step_checkpoint';
/** The last one and the one before it, should the content of the last be damaged. */
const keptAtOnce = 2;

/** The contents of checkpoints, as their records name them. */
export const checkpointContents: NamedContents = {
  kind,
  digests: ({ columns }) => [columns['sha256'] as string],
};

/** Checkpoints of the scope's workspace. */
export function createStepCheckpoints(
  scope: Scope,
  records: Pick<ExecutionRecords, 'stepById'>,
): StepCheckpoints {
  const { metadata, workspace } = scope;

  async function list(stepExecution: string): Promise<readonly KeptCheckpoint[]> {
    const found = await metadata.query(workspace, kind, {
      where: columnIs('stepExecution', stepExecution),
      orderBy: [{ by: { from: 'column', name: 'sequence' }, direction: 'desc' }],
      limit: 1000,
    });
    return found.records.map(fromRecord);
  }

  async function running(claim: ClaimKey, attempt: number): Promise<StepState> {
    const state = await records.stepById(claim.id);
    if (state?.attempt === attempt && state.status === 'RUNNING') return state;
    const label = state === undefined ? claim.id : stepLabel(state);
    throw new KeelsonError(
      'LOST',
      `Attempt ${attempt} of step ${label} does not run any more; it keeps no checkpoint.`,
    );
  }

  async function remove(which: readonly KeptCheckpoint[]): Promise<void> {
    try {
      await commitChanges(scope, which.slice(0, 500).map(removal));
    } catch (error) {
      // Somebody else is at it, or has done it; a sweep comes back to the rest.
      if (!isKeelsonError(error, 'STALE', 'NOT_FOUND')) throw error;
    }
  }

  return {
    list,

    save: (claim, attempt, { sha256, sizeBytes, sequence: asked }) =>
      decideAndCommit(scope, async () => {
        const state = await running(claim(), attempt);
        const there = await list(state.id);
        const newest = there[0];
        const sequence = asked ?? (newest?.sequence ?? 0) + 1;
        if (newest !== undefined && newest.sequence >= sequence) {
          return { changes: [], result: newest };
        }
        const { id: stepExecution, executionId, step, mapKey } = state;
        const id = derivedId(executionId, 'checkpoint', step, mapKey, sequence);
        const columns = { executionId, stepExecution, sequence, attempt, sha256, sizeBytes };
        const made = { id, revision: 1, stepExecution, sequence, attempt, sha256, sizeBytes };
        const changes: readonly Change[] = [
          hold(claim()),
          { op: 'create', kind, id, columns },
          ...there.slice(keptAtOnce - 1, 400).map(removal),
        ];
        return { changes, result: made };
      }),

    async forget(stepExecution) {
      const there = await list(stepExecution);
      if (there.length > 0) await remove(there);
    },

    async sweep(signal) {
      const open = new Map<string, KeptCheckpoint[]>();
      const how = signal === undefined ? {} : { signal };
      for await (const record of everyRecord(scope, kind, how)) {
        const checkpoint = fromRecord(record);
        const those = open.get(checkpoint.stepExecution) ?? [];
        open.set(checkpoint.stepExecution, [...those, checkpoint]);
      }
      const ids = [...open.keys()];
      let removed = 0;
      for (let from = 0; from < ids.length; from += 200) {
        const some = ids.slice(from, from + 200);
        const states = await metadata.findMany(workspace, 'step_execution', some);
        // One that failed or was cancelled may be tried again.
        const needed = new Set(
          states.map(stepFromRecord).flatMap((s) => (s.status === 'COMPLETED' ? [] : [s.id])),
        );
        const over = some.filter((id) => !needed.has(id)).flatMap((id) => open.get(id) ?? []);
        if (over.length > 0) await remove(over);
        removed += over.length;
      }
      return removed;
    },
  };
}

function removal({ id, revision }: KeptCheckpoint): Change {
  return { op: 'remove', kind, id, expect: revision };
}

function fromRecord({ id, revision, columns: c }: StoredRecord): KeptCheckpoint {
  return {
    id,
    revision,
    stepExecution: c['stepExecution'] as string,
    sequence: c['sequence'] as number,
    attempt: c['attempt'] as number,
    sha256: c['sha256'] as string,
    sizeBytes: c['sizeBytes'] as number,
  };
}
