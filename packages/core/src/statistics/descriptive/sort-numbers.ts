/** From so many values on, sorting by digits beats comparing. */
const byDigitsFrom = 20_000;

/** Room that sorting many lists one after another uses again and again; it grows to the longest. */
export class SortSpace {
  #room = new Float64Array(0);

  /** Of so many numbers. */
  take(numbers: number): Float64Array {
    if (this.#room.length < numbers) this.#room = new Float64Array(numbers);
    return this.#room.subarray(0, numbers);
  }
}

/**
 * An ascending copy of finite numbers, −0 before 0; equal to `Float64Array.from(values).sort()` bit for bit. Many values are
 * sorted by the digits of their upper 32 bits (least significant first, 11 bits at a time: the counts stay in the cache), and
 * the few that are alike in these by comparing. The copy lies in `room`, where that is given and large enough.
 */
export function sortNumbers(
  values: ArrayLike<number>,
  space: SortSpace = new SortSpace(),
  room?: Float64Array,
): Float64Array {
  const { length } = values;
  const copy =
    room === undefined || room.length < length
      ? new Float64Array(length)
      : room.subarray(0, length);
  copy.set(values);
  return length < byDigitsFrom ? copy.sort() : sortedByDigits(copy, space);
}

/** Which 32-bit word of a number is the upper one. */
const high = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;
const digitBits = 11;
const digits = 1 << digitBits;

function sortedByDigits(values: Float64Array, space: SortSpace): Float64Array {
  const counts = countDigits(wordsOf(values));
  let from = values;
  let to = space.take(values.length);
  for (let digit = 0; digit < 3; digit += 1) {
    const places = counts.subarray(digit * digits, (digit + 1) * digits);
    if (!toPlaces(places, values.length)) continue;
    moveByDigit(from, to, places, digit * digitBits);
    [from, to] = [to, from];
  }
  if (from !== values) values.set(from);
  sortAlike(values, wordsOf(values));
  return values;
}

function wordsOf(values: Float64Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length * 2);
}

/** The upper word of a number, such that words, as unsigned numbers, are in the order of the numbers. */
function ordered(upper: number): number {
  return upper ^ ((upper >> 31) | 0x8000_0000);
}

function countDigits(words: Uint32Array): Uint32Array {
  const counts = new Uint32Array(3 * digits);
  for (let i = high; i < words.length; i += 2) {
    const key = ordered(words[i] as number);
    const first = key & (digits - 1);
    const second = digits + ((key >>> digitBits) & (digits - 1));
    const third = 2 * digits + (key >>> (2 * digitBits));
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

function moveByDigit(
  from: Float64Array,
  to: Float64Array,
  places: Uint32Array,
  shift: number,
): void {
  const words = wordsOf(from);
  for (let i = 0; i < from.length; i += 1) {
    const digit = (ordered(words[2 * i + high] as number) >>> shift) & (digits - 1);
    const place = places[digit] as number;
    places[digit] = place + 1;
    to[place] = from[i] as number;
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
