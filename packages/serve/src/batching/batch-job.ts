import { isKeelsonError, type KeelsonError, type Tensor } from '@keelson/core';
import type { Job, JobAnswer } from '../replicas/job.ts';
import { timeoutError } from '../replicas/timeout-error.ts';
import { assertRowCount, joinRows, sliceRows } from './batch-rows.ts';

/** What a batch tells of its end. */
export interface BatchEvents {
  /** It was answered after so long in the model. */
  onAnswered(batch: BatchJob, inferenceMs: number): void;
  /** The call failed, and members wait on: each is to be run again alone. */
  onFailed(members: readonly Job[]): void;
  /** It is over, in whatever way. */
  onEnded(batch: BatchJob): void;
}

/**
 * Requests that share one call. To a replica it is a job like any other; its answer is cut into those of its members,
 * in the order in which their rows went in. When the call fails, each member is run again alone: one bad row fails alone.
 */
export class BatchJob implements Job {
  readonly members: readonly Job[];
  readonly inputs: readonly Tensor[];
  readonly rowCount: number;
  readonly parameters: Job['parameters'];
  readonly key: string;
  /** When the member came that has waited longest. */
  readonly enqueuedAt: number;
  readonly sentAt: number;
  /** Of the member that can wait longest. */
  readonly deadlineAt: number;
  alone = false;
  crashes = 0;
  moves = 0;
  readonly #events: BatchEvents;

  constructor(members: readonly Job[], now: number, events: BatchEvents) {
    const first = members[0] as Job;
    this.members = members;
    this.#events = events;
    this.sentAt = now;
    let [rows, enqueuedAt, deadlineAt] = [0, Number.POSITIVE_INFINITY, 0];
    for (const member of members) {
      rows += member.rowCount;
      enqueuedAt = Math.min(enqueuedAt, member.enqueuedAt);
      deadlineAt = Math.max(deadlineAt, member.deadlineAt);
    }
    this.rowCount = rows;
    this.enqueuedAt = enqueuedAt;
    this.deadlineAt = deadlineAt;
    this.inputs = members.length === 1 ? first.inputs : joinInputs(members, rows);
    this.parameters = first.parameters;
    this.key = first.key;
    this.crashes = Math.max(...members.map((member) => member.crashes));
  }

  get settled(): boolean {
    return this.members.every(({ settled }) => settled);
  }

  readonly isGone = (): boolean => this.members.every((member) => member.isGone());

  readonly resolve = (answer: JobAnswer): void => {
    const { inferenceMs, outputs } = answer;
    try {
      assertRowCount(outputs, this.rowCount);
    } catch (error) {
      this.reject(error as KeelsonError);
      return;
    }
    const now = performance.now();
    this.#events.onAnswered(this, inferenceMs);
    this.#events.onEnded(this);
    let from = 0;
    for (const member of this.members) {
      const to = from + member.rowCount;
      if (!member.settled) {
        member.resolve({
          ...answer,
          outputs: this.members.length === 1 ? outputs : sliceRows(outputs, from, to),
          queueMs: Math.max(0, now - member.enqueuedAt - inferenceMs),
          attempts: member.crashes + 1,
          batchRows: this.rowCount,
        });
      }
      from = to;
    }
  };

  readonly reject = (error: KeelsonError): void => {
    this.#events.onEnded(this);
    const open = this.members.filter(({ settled }) => !settled);
    const isShared = this.members.length > 1 && isKeelsonError(error, 'FAILED', 'INVALID');
    if (isShared) this.#events.onFailed(open);
    else for (const member of open) member.reject(error);
  };

  /** Settles members whose deadline has passed; the others wait on. */
  sweep(now: number): void {
    for (const member of this.members) {
      if (now >= member.deadlineAt && !member.settled) member.reject(timeoutError(member, 'model'));
    }
    if (this.settled) this.#events.onEnded(this);
  }
}

function joinInputs(members: readonly Job[], rowCount: number): readonly Tensor[] {
  return joinRows(
    members.map(({ inputs }) => inputs),
    rowCount,
  );
}
