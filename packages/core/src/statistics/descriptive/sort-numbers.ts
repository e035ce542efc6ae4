/** From so many values on, sorting by digits beats comparing. */
const byDigitsFrom = 20_000;

/** Room that sorting many lists one after another uses again and again; it grows to twice the longest. */
export class SortSpace {
  #room = new Uint32Array(0);

  /** Of so many 32-bit words. */
  take(words: number): Uint32Array {
    if (this.#room.length < words) this.#room = new Uint32Array(words);
    return this.#room.subarray(0, words);
  }
}

/**
 * An ascending copy of finite numbers, −0 before 0; equal to `Float64Array.from(values).sort()` bit for bit. Many values are
 * sorted by the digits of their upper 32 bits (least significant first, 11 bits at a time: the counts stay in the cache), and
 * the few that are alike in these by comparing.
 */
export function sortNumbers(
  values: ArrayLike<number>,
  space: SortSpace = new SortSpace(),
): Float64Array {
  const copy = new Float64Array(values.length);
  copy.set(values);
  return copy.length < byDigitsFrom ? copy.sort() : sortedByDigits(copy, space);
}

/** Which 32-bit word of a number is the lower one. */
const low = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 0 : 1;
const high = 1 - low;
const digitBits = 11;
const digits = 1 << digitBits;

function sortedByDigits(values: Float64Array, space: SortSpace): Float64Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length * 2);
  const counts = flipAndCount(bits);
  let from: Uint32Array = bits;
  let to = space.take(bits.length);
  for (let digit = 0; digit < 3; digit += 1) {
    const places = counts.subarray(digit * digits, (digit + 1) * digits);
    if (!toPlaces(places, values.length)) continue;
    moveByDigit(from, to, places, digit * digitBits);
    [from, to] = [to, from];
  }
  unflip(from, bits);
  sortAlike(values, bits);
  return values;
}

/** Makes the order of the bits, as unsigned numbers, that of the values: negative ones are turned round. Counts the digits. */
function flipAndCount(bits: Uint32Array): Uint32Array {
  const counts = new Uint32Array(3 * digits);
  for (let i = 0; i < bits.length; i += 2) {
    let upper = bits[i + high] as number;
    if (upper >>> 31 === 1) {
      upper = ~upper >>> 0;
      bits[i + low] = ~(bits[i + low] as number);
    } else upper = (upper | 0x8000_0000) >>> 0;
    bits[i + high] = upper;
    const [first, second, third] = [
      upper & (digits - 1),
      digits + ((upper >>> digitBits) & (digits - 1)),
      2 * digits + (upper >>> (2 * digitBits)),
    ];
    counts[first] = (counts[first] as number) + 1;
    counts[second] = (counts[second] as number) + 1;
    counts[third] = (counts[third] as number) + 1;
  }
  return counts;
}

/** Counts become the places at which the values of each digit begin; false where all values have the same one. */
function toPlaces(counts: Uint32Array, values: number): boolean {
  let place = 0;
  for (let digit = 0; digit < counts.length; digit += 1) {
    const count = counts[digit] as number;
    if (count === values) return false;
    counts[digit] = place;
    place += count;
  }
  return true;
}

function moveByDigit(from: Uint32Array, to: Uint32Array, places: Uint32Array, shift: number): void {
  for (let i = 0; i < from.length; i += 2) {
    const digit = ((from[i + high] as number) >>> shift) & (digits - 1);
    const place = places[digit] as number;
    places[digit] = place + 1;
    to[2 * place] = from[i] as number;
    to[2 * place + 1] = from[i + 1] as number;
  }
}

/** Makes values of the bits again, in their own place whichever of both they lie in. */
function unflip(from: Uint32Array, to: Uint32Array): void {
  for (let i = 0; i < from.length; i += 2) {
    const upper = from[i + high] as number;
    const lower = from[i + low] as number;
    const wasPositive = upper >>> 31 === 1;
    to[i + high] = wasPositive ? upper & 0x7fff_ffff : ~upper;
    to[i + low] = wasPositive ? lower : ~lower;
  }
}

/** Sorts each run of values whose upper words are alike. */
function sortAlike(values: Float64Array, bits: Uint32Array): void {
  let start = 0;
  for (let i = 1; i <= values.length; i += 1) {
    if (i < values.length && bits[2 * i + high] === bits[2 * start + high]) continue;
    if (i - start > 16) values.subarray(start, i).sort();
    else if (i - start > 1) insert(values, start, i);
    start = i;
  }
}

function insert(values: Float64Array, from: number, to: number): void {
  for (let i = from + 1; i < to; i += 1) {
    const value = values[i] as number;
    let place = i;
    while (place > from && (values[place - 1] as number) > value) {
      values[place] = values[place - 1] as number;
      place -= 1;
    }
    values[place] = value;
  }
}
