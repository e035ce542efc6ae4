import type { Literal, Selector } from '../contracts/query.ts';

/**
 * What the words of a filter mean for one kind of record: runs, models, versions and alerts each bring
 * their own and share the parser.
 */
export interface FilterVocabulary {
  /** What stands before the first point of a name: `metrics` in `metrics.loss`. Case counts. */
  readonly scopes: Readonly<Record<string, FilterScope>>;
  /** The names that may stand alone, or behind a scope of attributes. Case counts. */
  readonly attributes: Readonly<Record<string, FilterAttribute>>;
}

/** Where the keys of a scope lie. */
export type FilterScope =
  /** The vocabulary's attributes: `attributes.status`. */
  | { readonly in: 'attributes' }
  /** A facet of the record. */
  | {
      readonly in: 'facet';
      readonly facet: string;
      /** What its values are; it decides how a text in quotes that reads as a number compares. */
      readonly holds: ValueType;
      /** A trailing `.last`, `.min`, `.max`, `.mean`, `.first` or `.count` names a figure. */
      readonly figures?: boolean;
      /** The only keys that there are; any text when left out. */
      readonly keys?: readonly string[];
    }
  /** The body: `body.card.owner` walks from `path` along the parts of the name. */
  | { readonly in: 'body'; readonly path: readonly string[] };

/**
 * How a text in quotes compares.
 * - `text`: as text.
 * - `any` (params, tags: numbers may have been logged as text): with `= !=` and `in` as text; with
 *   `> >= < <=` and `between`, where it reads as a number, as that number.
 * - `number`: as the number it reads as; any other text is a SYNTAX error.
 * - `time`: as `number`, and an ISO 8601 date or time (UTC where it names no zone) is epoch ms.
 */
export type ValueType = 'text' | 'any' | 'number' | 'time';

/** A name that is a column, or a fixed place in the body. */
export interface FilterAttribute {
  readonly selector: Selector;
  readonly holds: ValueType;
  /** Other words for stored values, read with `= !=` and `in`: `{ FINISHED: 'COMPLETED' }`. */
  readonly aliases?: Readonly<Record<string, Literal>>;
  /** By what it is ordered, where the order of its texts is not its own: versions, say. */
  readonly order?: FilterOrder;
  /** Its values are the keys of this facet, as in `alias = 'champion'`: compared by = and IN alone. */
  readonly keysOf?: string;
}

/** An order that lies in another place: `> >= < <=`, `between` and sorting look there. */
export interface FilterOrder {
  readonly selector: Selector;
  /** What a text has there; undefined for one that has no place in the order. */
  readonly key: (text: string) => string | undefined;
  /** Said of other texts: `a semantic version, such as '1.4.0'`. */
  readonly expected: string;
}
