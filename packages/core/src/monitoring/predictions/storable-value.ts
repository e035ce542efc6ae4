import { encodeJson, isStorableText } from '../../json.ts';

/** Counts what had to be left out. */
export interface Unstorable {
  count: number;
}

/** Characters of a value at most; longer ones are left out whole: half a value would be another value. */
const maxCharacters = 65_536;

/**
 * A value as stores keep it: a text as it is (what no store can keep in it replaced by U+FFFD), anything else as the JSON of
 * `encodeJson`. Undefined, and counted, for what has no such form and for what is too long. Never throws.
 */
export function storableValue(
  value: unknown,
  unstorable: Unstorable,
): string | { readonly json: string } | undefined {
  if (typeof value === 'string') {
    if (value.length <= maxCharacters) return storableText(value);
  } else {
    try {
      const json = encodeJson(value);
      if (json.length <= maxCharacters) return { json };
    } catch {
      // A function, a cycle, a date, a getter that throws.
    }
  }
  unstorable.count += 1;
  return undefined;
}

/** A text without what no store can keep. */
export function storableText(text: string): string {
  if (isStorableText(text)) return text;
  return text.toWellFormed().replaceAll('\u0000', '\uFFFD');
}
