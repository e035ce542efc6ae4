import { createHash } from 'node:crypto';
import { KeelsonError } from './errors.ts';
import { redactText } from './redaction.ts';

/** A value that survives every store and wire: JSON, and NaN, ±Infinity and −0 besides. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json };

const numberTag = '$number';
const tagNumbers = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
  '-0': -0,
} as const;

const maxDepth = 200;

/**
 * JSON text of `value` which {@link decodeJson} turns back into an equal value, −0 and the non-finite
 * numbers included (`{"$number":"NaN"}`; objects that look like that are escaped as `$$number`).
 * Properties that are undefined are left out. INVALID, naming the path, for what has no such form:
 * undefined elsewhere, functions, symbols, bigint, Date and other class instances, cycles or more than
 * 200 levels, U+0000, lone surrogates.
 */
export function encodeJson(value: unknown, label = 'value'): string {
  return JSON.stringify(escapeValue(value, label, 0));
}

/** The value of a text made by {@link encodeJson}. CORRUPT when the text is none. */
export function decodeJson(text: string): Json {
  if (typeof text !== 'string') {
    throw new KeelsonError('CORRUPT', `A stored JSON text is a ${typeof text}, not text.`);
  }
  let parsed: Json;
  try {
    parsed = JSON.parse(text) as Json;
  } catch (cause) {
    throw new KeelsonError('CORRUPT', 'A stored JSON text cannot be read.', { cause });
  }
  // Without a tag there is nothing to unescape; the test saves a walk of every stored body. The tag
  // may hide behind an escape of a store that writes JSON anew.
  return text.includes(numberTag) || text.includes('\\u') ? unescapeValue(parsed) : parsed;
}

/** {@link encodeJson} with object keys in code-unit order: equal values give equal texts. */
export function canonicalJson(value: unknown, label = 'value'): string {
  return JSON.stringify(sortKeys(escapeValue(value, label, 0)));
}

/** SHA-256 (hex) of the canonical text of `value`. */
export function digestJson(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

/** `value` as a safe-to-store copy; INVALID as {@link encodeJson}. */
export function asJson(value: unknown, label = 'value'): Json {
  return decodeJson(encodeJson(value, label));
}

/** Most texts are short, and so few units are looked at faster here than by calls. */
const shortText = 40;

/** Whether a store keeps a text as it is: without NUL and lone surrogates. */
export function isStorableText(text: string): boolean {
  if (text.length <= shortText) {
    let i = 0;
    for (; i < text.length; i += 1) {
      const unit = text.charCodeAt(i);
      if (unit === 0 || (unit >= 0xd800 && unit < 0xe000)) break;
    }
    if (i === text.length) return true;
  }
  return !text.includes('\u0000') && text.isWellFormed();
}

/** Refuses, as INVALID and by name, text which a store would refuse or change: NUL, lone surrogates. */
export function assertText(
  value: unknown,
  label: string,
  maxLength: number = Number.POSITIVE_INFINITY,
): string {
  if (typeof value !== 'string') {
    throw new KeelsonError('INVALID', `${label} must be text, not ${describe(value)}.`);
  }
  if (value.includes('\u0000')) {
    throw new KeelsonError('INVALID', `${label} contains U+0000 (NUL), which no store can keep.`);
  }
  if (!value.isWellFormed()) {
    throw new KeelsonError(
      'INVALID',
      `${label} contains a lone surrogate; it is not Unicode text.`,
    );
  }
  if (value.length > maxLength) {
    throw new KeelsonError(
      'INVALID',
      `${label} has ${value.length} characters; at most ${maxLength} are allowed.`,
    );
  }
  return value;
}

/**
 * `text` as every store can keep it, for messages of others that must not be refused: NUL and lone
 * surrogates replaced by U+FFFD, secrets by `[redacted]`, cut to `maxLength` without splitting a character.
 */
export function storableText(text: string, maxLength: number): string {
  const clean = redactText(text.toWellFormed().replaceAll('\u0000', '\uFFFD'));
  if (clean.length <= maxLength) return clean;
  const cut = clean.slice(0, maxLength - 1);
  return `${cut.isWellFormed() ? cut : cut.slice(0, -1)}…`;
}

/** Whether `value` is an object literal's like: no class instance, no array; of any realm. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) return true;
  // Another realm's Object.prototype: the end of the chain, and it has what only that one has.
  return (
    Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf')
  );
}

function escapeValue(value: unknown, path: string, depth: number): Json {
  if (depth > maxDepth) {
    throw invalid(
      beginning(path),
      `is nested more than ${maxDepth} levels deep, or refers to itself`,
    );
  }
  switch (typeof value) {
    case 'boolean':
      return value;
    case 'string':
      return assertText(value, path);
    case 'number':
      if (Number.isFinite(value) && !Object.is(value, -0)) return value;
      return { [numberTag]: Object.is(value, -0) ? '-0' : String(value) };
    case 'object':
      break;
    default:
      throw invalid(path, `is ${describe(value)}, which cannot be stored`);
  }
  if (value === null) return null;
  if (Array.isArray(value)) {
    // Array.from, so that holes are seen and refused as undefined.
    return Array.from(value, (item, i) => escapeValue(item, `${path}[${i}]`, depth + 1));
  }
  if (!isPlainObject(value)) {
    throw invalid(path, `is ${describe(value)}, which cannot be stored; pass plain JSON`);
  }
  const out: [string, Json][] = [];
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    assertText(key, `a key of ${path}`);
    out.push([escapeKey(key), escapeValue(item, `${path}.${shorten(key)}`, depth + 1)]);
  }
  return Object.fromEntries(out);
}

// `$number` → `$$number` → `$$$number`: one more `$` on the way in, one less on the way out.
function escapeKey(key: string): string {
  return /^\$+number$/.test(key) ? `$${key}` : key;
}

function unescapeValue(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(unescapeValue);
  const entries = Object.entries(value as JsonObject);
  const only = entries[0];
  if (entries.length === 1 && only !== undefined && only[0] === numberTag)
    return taggedNumber(only[1]);
  return Object.fromEntries(
    entries.map(([key, item]) => [
      /^\$\$+number$/.test(key) ? key.slice(1) : key,
      unescapeValue(item),
    ]),
  );
}

function taggedNumber(tagged: Json): number {
  if (typeof tagged === 'string' && Object.hasOwn(tagNumbers, tagged)) {
    return tagNumbers[tagged as keyof typeof tagNumbers];
  }
  throw new KeelsonError(
    'CORRUPT',
    `A stored JSON text holds ${JSON.stringify(tagged)} as a number.`,
  );
}

function sortKeys(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sortKeys);
  // Integer-like keys always come first in an object; equal for equal values all the same.
  const entries = Object.entries(value as JsonObject).map(([k, v]) => [k, sortKeys(v)] as const);
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function invalid(given: string, what: string): KeelsonError {
  const path = typeof given === 'string' ? given : 'value';
  return new KeelsonError('INVALID', `${path} ${what}.`, { details: { path } });
}

/** Of a path that leads deeper than anybody reads. */
function beginning(path: string): string {
  return path.length > 80 ? `${path.slice(0, 80)}…` : path;
}

function shorten(key: string): string {
  return key.length > 40 ? `${key.slice(0, 40)}…` : key;
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'undefined';
  if (typeof value !== 'object') return `a ${typeof value}`;
  if (Array.isArray(value)) return 'an array';
  const made: unknown = value.constructor;
  const name = typeof made === 'function' && made !== Object ? made.name : '';
  return name === '' ? 'an object' : `an instance of ${name}`;
}
