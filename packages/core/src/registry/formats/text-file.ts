import type { ModelFiles } from '../../contracts/model-format.ts';
import { asJson, isPlainObject, type Json, type JsonObject } from '../../json.ts';
import { damaged, refused } from './model-fault.ts';

/** The text of a whole file. INVALID where it is longer than `maxBytes`, CORRUPT where it is no UTF-8. */
export async function readText(files: ModelFiles, path: string, maxBytes: number): Promise<string> {
  const size = files.files.find((file) => file.path === path)?.sizeBytes ?? 0;
  if (size > maxBytes)
    throw refused(path, `has ${size} bytes; at most ${maxBytes} are read of such a file`);
  return decodeUtf8(await files.read(path), path);
}

/** Bytes as text, without a byte order mark; CORRUPT where they are no UTF-8. */
export function decodeUtf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw damaged(path, 'is no text in UTF-8', cause);
  }
}

/** The value of a JSON text. CORRUPT where it is none, INVALID where no store keeps it (NUL, too many levels). */
export function parseJson(text: string, path: string, what = 'it'): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged(path, `cannot be read: ${what} is no JSON`, cause);
  }
  return storable(value, path);
}

/** A parsed value, or INVALID where no store keeps it. */
export function storable(value: unknown, path: string): Json {
  try {
    return asJson(value);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.replace(/\.$/, '') : String(cause);
    throw refused(path, `cannot be taken: ${why}`, cause);
  }
}

/** `value` as an object, an empty one for anything else. */
export function objectIn(value: unknown): JsonObject {
  return isPlainObject(value) ? (value as JsonObject) : {};
}

/** `value` as a text that says something. */
export function textIn(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
