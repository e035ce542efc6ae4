import type { Job } from './job.ts';

/** First in, first out, with a way back to the front for jobs that lost their replica. */
export class JobQueue {
  #jobs: Job[] = [];
  #head = 0;

  get length(): number {
    return this.#jobs.length - this.#head;
  }

  push(job: Job): void {
    this.#jobs.push(job);
  }

  unshift(job: Job): void {
    if (this.#head > 0) {
      this.#head -= 1;
      this.#jobs[this.#head] = job;
    } else {
      this.#jobs.unshift(job);
    }
  }

  shift(): Job | undefined {
    const job = this.#jobs[this.#head];
    if (job === undefined) return undefined;
    this.#jobs[this.#head] = undefined as unknown as Job;
    this.#head += 1;
    if (this.#head === this.#jobs.length) {
      this.#jobs.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#jobs = this.#jobs.slice(this.#head);
      this.#head = 0;
    }
    return job;
  }

  /** Takes out those whose deadline has passed at `now`. */
  removeDue(now: number): Job[] {
    const waiting = this.#jobs.slice(this.#head);
    const due = waiting.filter((job) => now >= job.deadlineAt);
    if (due.length > 0) {
      this.#jobs = waiting.filter((job) => now < job.deadlineAt);
      this.#head = 0;
    }
    return due;
  }
}
