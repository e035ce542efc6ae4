/**
 * A stream of pseudo-random numbers that is the same on every machine for the same seed: xoshiro128**
 * (Blackman & Vigna 2018, period 2^128 − 1), its state filled by splitmix32 from a 32-bit seed. Not for secrets.
 */
export interface SeededRandom {
  /** A whole number from 0 to 2^32 − 1. */
  nextUint32(): number;
  /** Uniform in [0, 1), with 53 bits. */
  uniform(): number;
  /** A whole number from 0 to `limit` − 1, without bias; `limit` from 1 to 2^32. */
  below(limit: number): number;
  /** Standard normal (Marsaglia's polar method). */
  normal(): number;
  /** True with the given probability. */
  chance(probability: number): boolean;
  /** Rearranges in place (Fisher–Yates) and answers the same array. */
  shuffle<T>(items: T[]): T[];
  /** An independent stream, named: the same name gives the same stream, whatever was drawn here before. */
  fork(name: string): SeededRandom;
}

/** Starts a stream from a seed: a safe integer or a text. */
export function seededRandom(seed: number | string): SeededRandom {
  return new Xoshiro(String(seed));
}

class Xoshiro implements SeededRandom {
  readonly #seed: string;
  #a: number;
  #b: number;
  #c: number;
  #d: number;
  #spare: number | undefined;

  constructor(seed: string) {
    this.#seed = seed;
    const next = splitmix(hashText(seed));
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next();
  }

  nextUint32(): number {
    const result = Math.imul(rotate(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotate(this.#d, 11);
    return result;
  }

  uniform(): number {
    const high = this.nextUint32() >>> 5;
    const low = this.nextUint32() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  below(limit: number): number {
    const fair = 4294967296 - (4294967296 % limit);
    for (;;) {
      const value = this.nextUint32();
      if (value < fair) return value % limit;
    }
  }

  normal(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return spare;
    }
    for (;;) {
      const x = 2 * this.uniform() - 1;
      const y = 2 * this.uniform() - 1;
      const square = x * x + y * y;
      if (square >= 1 || square === 0) continue;
      const scale = Math.sqrt((-2 * Math.log(square)) / square);
      this.#spare = y * scale;
      return x * scale;
    }
  }

  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  shuffle<T>(items: T[]): T[] {
    for (let index = items.length - 1; index > 0; index -= 1) {
      const other = this.below(index + 1);
      const kept = items[index] as T;
      items[index] = items[other] as T;
      items[other] = kept;
    }
    return items;
  }

  fork(name: string): SeededRandom {
    return new Xoshiro(`${this.#seed}\u001f${name}`);
  }
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

/** FNV-1a over the UTF-16 units, finished with murmur3's mixer. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return mix(hash);
}

function splitmix(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    return mix(state);
  };
}

function mix(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
