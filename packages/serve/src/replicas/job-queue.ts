import type { Job } from './job.ts';

/** First in, first out, with a way back to the front for jobs that lost their replica. */
export class JobQueue {
  #jobs: Job[] = [];
  #head = 0;
  #rows = 0;

  get length(): number {
    return this.#jobs.length - this.#head;
  }

  /** Rows of all jobs together. */
  get rows(): number {
    return this.#rows;
  }

  push(job: Job): void {
    this.#rows += job.rowCount;
    this.#jobs.push(job);
  }

  unshift(job: Job): void {
    this.#rows += job.rowCount;
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
    this.#rows -= job.rowCount;
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

  /** The one that has waited longest. */
  peek(): Job | undefined {
    return this.#jobs[this.#head];
  }

  /** Rows of the jobs that may share a call with the first, counted up to `enough`. */
  rowsLikeFirst(enough: number): number {
    const first = this.#jobs[this.#head];
    if (first === undefined) return 0;
    let rows = 0;
    for (let i = this.#head; i < this.#jobs.length && rows < enough; i += 1) {
      const job = this.#jobs[i] as Job;
      if (job.key === first.key && !job.alone) rows += job.rowCount;
    }
    return first.alone ? enough : rows;
  }

  /** Takes the first job, and those with its key that fit beside it into `maxRows`; the others keep their order. */
  shiftAlike(maxRows: number): Job[] {
    const first = this.shift();
    if (first === undefined) return [];
    const taken = [first];
    if (first.alone) return taken;
    let rows = first.rowCount;
    while (rows < maxRows) {
      const next = this.#jobs[this.#head];
      if (next === undefined || next.key !== first.key || next.alone) break;
      if (rows + next.rowCount > maxRows) return taken;
      rows += next.rowCount;
      taken.push(this.shift() as Job);
    }
    if (rows >= maxRows || this.length === 0) return taken;
    // Others stand in between: pick out what fits.
    const left: Job[] = [];
    for (const job of this.#jobs.slice(this.#head)) {
      const fits = job.key === first.key && !job.alone && rows + job.rowCount <= maxRows;
      if (!fits) left.push(job);
      else {
        rows += job.rowCount;
        this.#rows -= job.rowCount;
        taken.push(job);
      }
    }
    this.#jobs = left;
    this.#head = 0;
    return taken;
  }

  /** Takes out those whose deadline has passed at `now`. */
  removeDue(now: number): Job[] {
    const waiting = this.#jobs.slice(this.#head);
    const due = waiting.filter((job) => now >= job.deadlineAt);
    if (due.length > 0) {
      for (const { rowCount } of due) this.#rows -= rowCount;
      this.#jobs = waiting.filter((job) => now < job.deadlineAt);
      this.#head = 0;
    }
    return due;
  }
}
