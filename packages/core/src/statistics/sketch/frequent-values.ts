import { requireCount } from '../arguments.ts';

/**
 * The most frequent values of a stream in bounded memory (Misra & Gries 1982, in batches). Exact as long as there are
 * at most twice `size` different values; after that counts are too low by at most {@link undercount}, and every
 * value more frequent than that is there.
 */
export class FrequentValues<T> {
  readonly #size: number;
  #counts = new Map<T, number>();
  #undercount = 0;

  /** Nothing seen yet; `size` values are kept at least. */
  constructor(size: number = 1000) {
    requireCount('size', size);
    this.#size = size;
  }

  /** Sees a value; those are one that are one key of a Map. */
  add(value: T): void {
    const known = this.#counts.get(value);
    if (known !== undefined) {
      this.#counts.set(value, known + 1);
      return;
    }
    if (this.#counts.size >= 2 * this.#size) this.#prune();
    this.#counts.set(value, 1);
  }

  /** How much a count may be too low: 0 while all are exact. */
  get undercount(): number {
    return this.#undercount;
  }

  /** The `most` frequent values; those that are equally frequent in the order in which they were seen. */
  top(most: number): { readonly value: T; readonly count: number }[] {
    const all = [...this.#counts].map(([value, count]) => ({ value, count }));
    return all.sort((a, b) => b.count - a.count).slice(0, most);
  }

  /** How many different values are kept: all there were while {@link undercount} is 0. */
  get kept(): number {
    return this.#counts.size;
  }

  #prune(): void {
    const counts = Float64Array.from(this.#counts.values()).sort();
    const less = counts[counts.length - this.#size - 1] as number;
    const left = [...this.#counts].filter(([, count]) => count > less);
    this.#counts = new Map(left.map(([value, count]) => [value, count - less]));
    this.#undercount += less;
  }
}
