import type { JobAnswer } from '../replicas/job.ts';

/** What the requests to one version came to in this process since it was first asked. */
export interface VersionCounts {
  readonly version: string;
  /** Epoch ms of the last answer; 0 before the first. */
  readonly lastAt: number;
  readonly rows: number;
  readonly answered: number;
  readonly failed: number;
  /** From arrival to answer, of those answered and of those failed. */
  readonly answeredMs: number;
  readonly failedMs: number;
  readonly queueMs: number;
  readonly inferenceMs: number;
}

type Counts = { -readonly [Key in keyof VersionCounts]: VersionCounts[Key] };

/** Counts a deployment's inferences by version, for the statistics that inference clients ask for. */
export class InferenceCounts {
  readonly #counts = new Map<string, Counts>();

  answered(version: string, at: number, rows: number, latencyMs: number, answer: JobAnswer): void {
    const counts = this.#of(version);
    counts.lastAt = at;
    counts.rows += rows;
    counts.answered += 1;
    counts.answeredMs += latencyMs;
    counts.queueMs += answer.queueMs;
    counts.inferenceMs += answer.inferenceMs;
  }

  failed(version: string, latencyMs: number): void {
    const counts = this.#of(version);
    counts.failed += 1;
    counts.failedMs += latencyMs;
  }

  of(version: string): VersionCounts {
    return this.#counts.get(version) ?? zero(version);
  }

  #of(version: string): Counts {
    let counts = this.#counts.get(version);
    if (counts === undefined) {
      counts = zero(version);
      this.#counts.set(version, counts);
    }
    return counts;
  }
}

function zero(version: string): Counts {
  const none = { lastAt: 0, rows: 0, answered: 0, failed: 0 };
  return { version, ...none, answeredMs: 0, failedMs: 0, queueMs: 0, inferenceMs: 0 };
}
