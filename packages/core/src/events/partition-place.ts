import type { Change, Claimed } from '../contracts/metadata-store.ts';
import type { Columns } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { freeingChange, keepingChange, type ParkedSubject } from './parked-subjects.ts';

/** What of a partition is kept: see the kind `subscription_partition`. */
export interface PartitionState {
  readonly cursor: string | undefined;
  readonly wakeAt: number | undefined;
  readonly dirty: boolean;
  readonly careful: number;
  readonly inFlight: string | undefined;
  readonly suspect: string | undefined;
  readonly crashes: number;
}

/** What is to be written next, as it is at the moment of writing. */
export interface PartitionUpdate {
  readonly state: PartitionState;
  /** Dead letters, and what tells of them. */
  readonly letters: readonly Change[];
  /** Parked subjects that are new or have changed. */
  readonly parked: readonly ParkedSubject[];
  /** Subjects that are parked no more. */
  readonly freed: readonly ParkedSubject[];
}

interface Step {
  readonly change: Change;
  readonly done?: (revision: number) => void;
}

/** A commit takes 500 changes, and one of them is the claim. */
const batchSize = 499;

/**
 * What the holder of a partition writes: commits under its claim, one after another, each with all that
 * has changed until it begins. After one that failed, nothing more is written.
 */
export class PartitionPlace {
  readonly #scope: Scope;
  readonly #claimed: Claimed;
  readonly #take: () => PartitionUpdate;
  #saved: PartitionState;
  #revision: number;
  #chain: Promise<void> = Promise.resolve();

  /** `take` hands over what is to be written; what it has handed over is not asked for again. */
  constructor(scope: Scope, claimed: Claimed, take: () => PartitionUpdate) {
    this.#scope = scope;
    this.#claimed = claimed;
    this.#take = take;
    this.#saved = partitionState(claimed.record.columns);
    this.#revision = claimed.record.revision;
  }

  /** Resolves when what has changed by now is durable. */
  save(): Promise<void> {
    const next = this.#chain.then(() => this.#write());
    // Whoever awaits it is told; the chain itself is nobody's.
    next.catch(() => undefined);
    this.#chain = next;
    return next;
  }

  async #write(): Promise<void> {
    const { state, letters, parked, freed } = this.#take();
    // What comes in a commit before the place moves on is found by whoever goes on after a kill.
    const steps: readonly Step[] = [
      // First: one that was freed may be parked anew.
      ...freed.map((subject) => ({ change: freeingChange(subject) })),
      ...letters.map((change) => ({ change })),
      ...parked.map((subject) => ({
        change: keepingChange(subject),
        done: (revision: number) => {
          subject.revision = revision;
        },
      })),
      ...this.#own(state),
    ];
    for (let start = 0; start < steps.length; start += batchSize) {
      await this.#commit(steps.slice(start, start + batchSize));
    }
  }

  #own(state: PartitionState): readonly Step[] {
    const keys = Object.keys(state) as (keyof PartitionState)[];
    const changed = keys.filter((key) => state[key] !== this.#saved[key]);
    if (changed.length === 0) return [];
    const columns: Columns = Object.fromEntries(changed.map((key) => [key, state[key]]));
    const { kind, id } = this.#claimed.record;
    const done = (revision: number): void => {
      this.#revision = revision;
      this.#saved = state;
    };
    return [{ change: { op: 'replace', kind, id, expect: this.#revision, columns }, done }];
  }

  async #commit(steps: readonly Step[]): Promise<void> {
    const { record, owner, fence } = this.#claimed;
    const hold: Change = { op: 'hold', kind: record.kind, id: record.id, owner, fence };
    const { revisions } = await this.#scope.metadata.commit({
      workspace: this.#scope.workspace,
      principal: this.#scope.principal.id,
      changes: [hold, ...steps.map(({ change }) => change)],
    });
    for (const [at, { done }] of steps.entries()) done?.(revisions[at + 1] as number);
  }
}

/** The state in a partition's columns. */
export function partitionState(columns: Columns): PartitionState {
  return {
    cursor: columns['cursor'] as string | undefined,
    wakeAt: columns['wakeAt'] as number | undefined,
    dirty: columns['dirty'] as boolean,
    careful: columns['careful'] as number,
    inFlight: columns['inFlight'] as string | undefined,
    suspect: columns['suspect'] as string | undefined,
    crashes: columns['crashes'] as number,
  };
}
