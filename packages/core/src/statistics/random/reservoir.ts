import { requireCount } from '../arguments.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';

/** A random sample of fixed size of a stream, each value with the same chance (Vitter 1985, algorithm R). */
export class Reservoir<T> {
  readonly #size: number;
  readonly #random: SeededRandom;
  readonly #values: T[] = [];
  #seen = 0;

  /** At most `size` values; the same seed and stream give the same sample. */
  constructor(size: number, seed: number | string) {
    requireCount('size', size);
    this.#size = size;
    this.#random = seededRandom(seed);
  }

  add(value: T): void {
    this.#seen += 1;
    if (this.#values.length < this.#size) {
      this.#values.push(value);
      return;
    }
    const place = Math.floor(this.#random.uniform() * this.#seen);
    if (place < this.#size) this.#values[place] = value;
  }

  /** All there were, up to the size. */
  get values(): readonly T[] {
    return this.#values;
  }
}
