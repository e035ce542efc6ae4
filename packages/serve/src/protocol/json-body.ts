import { isUtf8 } from 'node:buffer';
import type { Json } from '@keelson/core';
import { describeValue, roundedInteger } from './elements.ts';
import { malformed } from './refusal.ts';

/** The fields of a JSON object that a caller sent; nothing is known of them yet. */
export type Fields = Readonly<Record<string, unknown>>;

const maxIdLength = 256;

/**
 * Parses a JSON body and reads it with `read`. Should `read` throw `roundedInteger` (it may only while `unsafe` is
 * `throw`), the text is parsed again with integers beyond 2^53 as bigints: five to fourteen times dearer, so
 * only where there are such integers. The bare NaN, Infinity and -Infinity that Python's
 * clients write stand for the texts. INVALID (400) for what is no JSON in UTF-8.
 */
export function readJsonBody<T>(
  bytes: Uint8Array,
  read: (value: unknown, unsafe: 'throw' | 'fault') => T,
): T {
  const text = textOf(bytes);
  try {
    return read(parseJson(text), 'throw');
  } catch (error) {
    if (error !== roundedInteger) throw error;
    return read(parseExactly(text), 'fault');
  }
}

function textOf(bytes: Uint8Array): string {
  if (bytes.byteLength === 0)
    throw malformed('body', 'a JSON object with "inputs"', 'an empty body');
  if (!isUtf8(bytes)) throw malformed('body', 'JSON in UTF-8', 'other bytes');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const quoted = quoteNonFinite(text);
    if (quoted !== undefined) return parseJson(quoted);
    throw malformed(
      'body',
      `JSON (${cause instanceof Error ? cause.message.slice(0, 200) : 'unreadable'})`,
    );
  }
}

const textOrNonFinite = /"(?:[^"\\]|\\[\s\S])*"|-?\b(?:Infinity|NaN)\b/g;

/** The text with bare NaN and ±Infinity as JSON texts; undefined where there are none. */
function quoteNonFinite(text: string): string | undefined {
  const quoted = text.replace(textOrNonFinite, (found) =>
    found.startsWith('"') ? found : `"${found}"`,
  );
  return quoted === text ? undefined : quoted;
}

/** As JSON.parse, but integers beyond 2^53 come as bigints, from their own digits. */
function parseExactly(text: string): unknown {
  type Reviver = (key: string, value: unknown, context: { readonly source: string }) => unknown;
  const revive: Reviver = (_key, value, context) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d{1,20}$/.test(context.source)
      ? BigInt(context.source)
      : value;
  try {
    return JSON.parse(text, revive as (key: string, value: unknown) => unknown);
  } catch (cause) {
    const quoted = quoteNonFinite(text);
    if (quoted !== undefined) return parseExactly(quoted);
    // Reviving recurses: a nesting that JSON.parse bears may be too deep here.
    throw malformed(
      'body',
      `JSON of moderate depth (${cause instanceof Error ? cause.message : 'unreadable'})`,
    );
  }
}

/** The fields of an object; INVALID (400) for another value. */
export function readObject(value: unknown, path: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed(path, 'an object', describeValue(value));
  }
  return value as Fields;
}

/** The caller's id of a request, if it gave one. */
export function readId(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const fits = typeof value === 'string' && value.length <= maxIdLength && value.isWellFormed();
  if (!fits || value.includes('\u0000')) {
    throw malformed(
      'id',
      `a text of at most ${maxIdLength} characters without NUL`,
      describeValue(value),
    );
  }
  // An empty id is what clients send that have none.
  return value === '' ? undefined : value;
}

const noParameters: Readonly<Record<string, Json>> = Object.freeze({});

/** Parameters as the protocol has them: texts, booleans and numbers. */
export function readParameters(value: unknown, path: string): Readonly<Record<string, Json>> {
  if (value === undefined) return noParameters;
  const parameters = readObject(value, path);
  for (const key of Object.keys(parameters)) {
    const item = parameters[key];
    const fits =
      typeof item === 'boolean' ||
      (typeof item === 'string' && item.isWellFormed()) ||
      (typeof item === 'number' &&
        Number.isFinite(item) &&
        (!Number.isInteger(item) || Number.isSafeInteger(item)));
    if (!fits) {
      throw malformed(
        `${path}.${key.slice(0, 60)}`,
        'a text, a boolean or a safe number',
        describeValue(item),
      );
    }
  }
  return parameters as Readonly<Record<string, Json>>;
}
