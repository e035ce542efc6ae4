import { requireWithin } from '../arguments.ts';

const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);

/**
 * Estimates how many different values there were, in 2^bits bytes whatever there is: HyperLogLog (Flajolet et al.
 * 2007) with linear counting for few. The standard error is 1.04/√(2^bits): 1.6 % with 12 bits.
 */
export class DistinctCount {
  readonly #bits: number;
  readonly #registers: Uint8Array;

  /** Nothing seen yet; `bits` from 4 to 16. */
  constructor(bits: number = 12) {
    requireWithin('bits', bits, 4, 16);
    this.#bits = Math.floor(bits);
    this.#registers = new Uint8Array(2 ** this.#bits);
  }

  /** Sees a value. Numbers and texts are different values: 1 is not '1'. */
  add(value: number | string): void {
    const [place, rest] = typeof value === 'number' ? hashOfNumber(value) : hashOfText(value);
    const register = place >>> (32 - this.#bits);
    const rank = Math.clz32(rest) + 1;
    if (rank > (this.#registers[register] as number)) this.#registers[register] = rank;
  }

  /** How many different values there were, about. */
  get estimate(): number {
    const size = this.#registers.length;
    let sum = 0;
    let empty = 0;
    for (const rank of this.#registers) {
      sum += 2 ** -rank;
      if (rank === 0) empty += 1;
    }
    const raw = (0.7213 / (1 + 1.079 / size)) * (size / sum) * size;
    const counted = raw <= 2.5 * size && empty > 0 ? size * Math.log(size / empty) : raw;
    return Math.round(counted);
  }
}

type Hash = readonly [place: number, rest: number];

function hashOfNumber(value: number): Hash {
  // Adding 0 makes −0 the 0 that it equals.
  float[0] = value + 0;
  const mixed = mix(Math.imul(words[0] as number, 0x9e3779b1) ^ (words[1] as number));
  return [mixed, mix(mixed ^ (words[0] as number) ^ 0x51ed270b)];
}

/** FNV-1a over the UTF-16 units in two lanes, finished with murmur3's mixer. */
function hashOfText(text: string): Hash {
  let a = 0x811c9dc5;
  let b = 0x1b873593;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x5bd1e995) + 1;
  }
  return [mix(a), mix(b ^ text.length)];
}

function mix(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
