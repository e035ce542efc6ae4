import type { Json } from '../json.ts';

// No two parts of it can match the same characters, so that it runs in linear time.
const decimal = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;

/** Texts longer than this do not read as numbers; the shortest text of any double is far below. */
const longestNumber = 400;

/**
 * The number that a text reads as: an optional sign, decimal digits with an optional point, an optional
 * exponent, nothing around them. Undefined for every other text (`0x10`, `1_000`, ` 1`, `NaN`,
 * `Infinity`), for what is beyond the range of doubles (`1e999`), and for more than 400 characters.
 */
export function readNumber(text: string): number | undefined {
  if (text.length > longestNumber || !decimal.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/** The number that a stored value carries: numbers (NaN included), and text as {@link readNumber}. */
export function numberOf(value: Json | undefined): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'string' ? readNumber(value) : undefined;
}

/** The text that a stored value carries: text, `String(n)` of a number, `true` and `false`. */
export function textOf(value: Json | undefined): string | undefined {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
    case 'boolean':
      return String(value);
    default:
      return undefined;
  }
}

/** The boolean that a stored value carries: booleans, and the texts `true` and `false`. */
export function booleanOf(value: Json | undefined): boolean | undefined {
  if (typeof value === 'boolean') return value;
  return value === 'true' ? true : value === 'false' ? false : undefined;
}

/** Orders text by Unicode code points (not UTF-16 units, as `<` does): negative, 0 or positive. */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

// Surrogates stand for code points above U+FFFF, so they rank above the units U+E000 to U+FFFF.
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
