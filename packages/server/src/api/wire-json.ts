import { decodeJson, encodeJson, type Json, KeelsonError } from '@keelson/core';

/**
 * A value as JSON for callers: numbers that JSON has not as `{"$number":"NaN"}`, columns of numbers as lists, what is
 * missing in a list as null, what is undefined left out.
 */
export function wireText(value: unknown): string {
  return encodeJson(plain(value), 'The answer');
}

/** A body as it was sent, for checks, and as it is meant, with its numbers. INVALID, with the place, for no JSON. */
export function readWire(text: string): { readonly sent: unknown; readonly meant: Json } {
  try {
    return { sent: JSON.parse(text), meant: decodeJson(text) };
  } catch (cause) {
    const why = cause instanceof SyntaxError ? `: ${cause.message}` : '';
    throw new KeelsonError('INVALID', `The body is no JSON${why}.`, { cause });
  }
}

function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Float64Array) return Array.from(value);
  if (Array.isArray(value)) return value.map((each) => (each === undefined ? null : plain(each)));
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, of]) => [key, plain(of)]));
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, plain(of)]));
}
