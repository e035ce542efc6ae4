import type { Output } from '../output.ts';

/** Says that a list has more than it shows. */
export function tellMore(out: Output, shown: number, cursor: string | undefined): void {
  if (cursor !== undefined) {
    out.note(`These are the first ${shown}; there are more: --limit shows more, up to 1000.`);
  }
}

/** The option of lists. */
export const limitOption: {
  readonly type: 'integer';
  readonly summary: string;
  readonly default: number;
  readonly min: number;
  readonly max: number;
} = { type: 'integer', summary: 'How many at most', default: 20, min: 1, max: 1000 };

/** `key=value` texts as an object; the text that is none otherwise. */
export function pairsOf(texts: readonly string[]): Record<string, string> | string {
  const pairs: [string, string][] = [];
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at < 1) return text;
    pairs.push([text.slice(0, at), text.slice(at + 1)]);
  }
  return Object.fromEntries(pairs);
}
