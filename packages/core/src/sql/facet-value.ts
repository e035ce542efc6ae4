import type { Json } from '../json.ts';
import { numberOf, textOf } from '../language/stored-value.ts';

/**
 * Texts of more code points are indexed by as many of their first ones (PostgreSQL's indexes take 2,704
 * bytes). Code points, not UTF-16 units: texts must sort by their prefixes as they do by themselves.
 */
export const prefixLength = 500;

/** One facet value as a row of `facet` holds it. */
export interface FacetValue {
  /** The number that the value carries; null for none, and for NaN. */
  readonly num: number | null;
  /** The text that the value carries, cut to {@link prefixLength}; null for none. */
  readonly str: string | null;
  /** The whole text where `str` is cut. */
  readonly long: string | null;
  /** 1 when the value is the number NaN, which sorts as missing where the text `NaN` does not. */
  readonly nan: 1 | null;
}

/** The row of a facet value. The value itself stands, exactly, in the facet's JSON on the record. */
export function facetValue(value: Json): FacetValue {
  const number = numberOf(value);
  const text = textOf(value);
  const { str, long } = text === undefined ? { str: null, long: null } : splitText(text);
  return {
    num: number === undefined || Number.isNaN(number) ? null : number,
    str,
    long,
    nan: typeof value === 'number' && Number.isNaN(value) ? 1 : null,
  };
}

/** A text as `str` and `long` of {@link FacetValue} hold it. */
export function splitText(text: string): { readonly str: string; readonly long: string | null } {
  if (text.length <= prefixLength) return { str: text, long: null };
  let end = 0;
  for (let points = 0; points < prefixLength && end < text.length; points += 1) {
    end += (text.codePointAt(end) ?? 0) > 0xffff ? 2 : 1;
  }
  return end === text.length ? { str: text, long: null } : { str: text.slice(0, end), long: text };
}
