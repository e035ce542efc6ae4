import { damaged } from './series-bytes.ts';

/** A part of a blob: where it begins, behind the directory, and how long it is. */
export type Part = readonly [at: number, bytes: number];
type Put = (view: ArrayBufferView) => Part;
type Take = (part: Part) => Uint8Array<ArrayBuffer>;

/**
 * Numbers in a part, in the form that takes fewest bytes and gives back every bit: `same`, one double for all of them; whole
 * numbers as what they are above `base`, in 1, 2 or 4 bytes; `f32`; doubles where it is left out.
 */
export interface PackedNumbers {
  readonly as?: 'same' | 'u8' | 'u16' | 'u32' | 'f32';
  readonly base?: number;
  readonly values?: Part;
}

/**
 * Texts in parts: the UTF-8 of all that are told apart, their lengths in UTF-16 units (of `width` bytes each; 4 when left out),
 * and for each row the number of its text, or the count of texts where it has none. Without `index` each row has a text of
 * its own.
 */
export interface PackedTexts {
  readonly text?: Part;
  readonly lengths?: Part;
  readonly width?: 1 | 2 | 4;
  readonly index?: Part;
}

const what = 'a batch of rows';
/** So many texts from the front, and as many from all over a column, say whether its texts differ. */
const lookedAt = 64;

/** Puts numbers where `put` says. */
export function packNumbers(values: Float64Array, put: Put): PackedNumbers {
  const form = formOf(values);
  switch (form.as) {
    case undefined:
      return { values: put(values) };
    case 'same':
      return { ...form, values: put(values.slice(0, 1)) };
    case 'f32':
      return { ...form, values: put(Float32Array.from(values)) };
    default:
      return { ...form, values: put(aboveBase(values, form)) };
  }
}

/** The numbers again. CORRUPT where the part is not as long as they are. */
export function unpackNumbers(
  { as, base = 0, values }: Omit<PackedNumbers, 'values'> & { readonly values?: Part | undefined },
  count: number,
  take: Take,
): Float64Array {
  if (values === undefined) throw damaged(what);
  const bytes = take(values);
  switch (as) {
    case undefined:
      return view(Float64Array, bytes, count);
    case 'same':
      return new Float64Array(count).fill(view(Float64Array, bytes, 1)[0] as number);
    case 'f32':
      return Float64Array.from(view(Float32Array, bytes, count));
    default: {
      const above = view<Uint8Array | Uint16Array | Uint32Array>(whole[as], bytes, count);
      const numbers = new Float64Array(count);
      for (let i = 0; i < count; i += 1) numbers[i] = base + (above[i] as number);
      return numbers;
    }
  }
}

interface Whole {
  readonly as: 'u8' | 'u16' | 'u32';
  readonly base: number;
}

const whole = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array } as const;

function formOf(values: Float64Array): { readonly as?: 'same' | 'f32' } | Whole {
  const first = values[0];
  if (first === undefined) return {};
  let [isSame, isWhole, isFloat] = [true, true, true];
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i] as number;
    if (isSame && !Object.is(value, first)) isSame = false;
    if (isWhole) {
      // Not −0 either, which whole numbers above a base would lose.
      isWhole = Number.isSafeInteger(value) && !Object.is(value, -0);
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (isFloat && Math.fround(value) !== value) isFloat = Number.isNaN(value);
    if (!isSame && !isWhole && !isFloat) return {};
  }
  if (isSame) return { as: 'same' };
  const span = high - low;
  if (!isWhole || span > 0xffff_ffff) return isFloat ? { as: 'f32' } : {};
  if (span <= 0xff) return { as: 'u8', base: low };
  return { as: span <= 0xffff ? 'u16' : 'u32', base: low };
}

function aboveBase(values: Float64Array, { as, base }: Whole): ArrayBufferView {
  const above = new whole[as](values.length);
  for (let i = 0; i < values.length; i += 1) above[i] = (values[i] as number) - base;
  return above;
}

/** Puts texts where `put` says; null where a row has none. */
export function packTexts(values: readonly (string | null)[], put: Put): PackedTexts {
  if (areDistinct(values)) return packedTexts(values, put);
  const numbers = new Map<string, number>();
  const index = new Uint32Array(values.length);
  let [before, number]: [string | null, number] = [null, 0];
  let hasMissing = false;
  for (let i = 0; i < values.length; i += 1) {
    const text = values[i] as string | null;
    if (text === null) {
      hasMissing = true;
      continue;
    }
    if (text !== before) {
      const known = numbers.get(text);
      number = known ?? numbers.size;
      if (known === undefined) numbers.set(text, number);
      before = text;
    }
    index[i] = number;
  }
  const { size } = numbers;
  if (hasMissing)
    for (let i = 0; i < values.length; i += 1) if (values[i] === null) index[i] = size;
  return { ...packedTexts([...numbers.keys()], put), index: put(narrow(index, size)) };
}

/** The texts again. CORRUPT where parts are not as long as they should be. */
export function unpackTexts(
  { text, lengths, width = 4, index }: PackedTexts,
  count: number,
  take: Take,
): readonly (string | null)[] {
  if (text === undefined || lengths === undefined) throw damaged(what);
  const joined = Buffer.from(take(text)).toString();
  const all = take(lengths);
  const texts: string[] = [];
  let at = 0;
  for (const length of widen(all, all.length / width)) {
    texts.push(joined.slice(at, at + length));
    at += length;
  }
  if (index === undefined) {
    if (texts.length !== count) throw damaged(what);
    return texts;
  }
  return Array.from(widen(take(index), count), (number) => texts[number] ?? null);
}

function packedTexts(texts: readonly (string | null)[], put: Put): PackedTexts {
  const lengths = new Uint32Array(texts.length);
  let longest = 0;
  for (let i = 0; i < texts.length; i += 1) {
    const { length } = texts[i] as string;
    lengths[i] = length;
    if (length > longest) longest = length;
  }
  const text = put(Buffer.from(texts.join('')));
  const packed = narrow(lengths, longest);
  return { text, lengths: put(packed), width: packed.BYTES_PER_ELEMENT as 1 | 2 | 4 };
}

/** Whether it is not worth while to look for equal texts: no row is without one, and those that are looked at differ. */
function areDistinct(values: readonly (string | null)[]): boolean {
  const { length } = values;
  if (length < 2 * lookedAt) return false;
  const seen = new Set<string | null>();
  for (let i = 0; i < lookedAt; i += 1) {
    seen.add(values[i] as string | null);
    const there = lookedAt + Math.floor(((length - lookedAt) * i) / lookedAt);
    seen.add(values[there] as string | null);
  }
  return seen.size === 2 * lookedAt && !values.includes(null);
}

/** One byte each up to 255, two up to 65,535, four beyond: told apart by the length. */
function narrow(numbers: Uint32Array, highest: number): Uint8Array | Uint16Array | Uint32Array {
  if (highest < 256) return Uint8Array.from(numbers);
  return highest < 65_536 ? Uint16Array.from(numbers) : numbers;
}

function widen(
  bytes: Uint8Array<ArrayBuffer>,
  count: number,
): Uint8Array | Uint16Array | Uint32Array {
  const width = bytes.length / Math.max(1, count);
  if (width === 1 || bytes.length === 0) return bytes;
  if (width === 2) return view(Uint16Array, bytes, count);
  if (width === 4) return view(Uint32Array, bytes, count);
  throw damaged(what);
}

function view<T>(
  of: {
    new (buffer: ArrayBuffer, at: number, length: number): T;
    readonly BYTES_PER_ELEMENT: number;
  },
  bytes: Uint8Array<ArrayBuffer>,
  count: number,
): T {
  if (bytes.length !== count * of.BYTES_PER_ELEMENT) throw damaged(what);
  return new of(bytes.buffer, bytes.byteOffset, count);
}
