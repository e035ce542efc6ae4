import type { Json, JsonObject } from '../json.ts';

/** The type of a declared column. Integers are safe integers; reals keep NaN, ±Infinity and −0. */
export type ColumnType = 'text' | 'integer' | 'real' | 'boolean';

/** One declared column of a kind. */
export interface ColumnDeclaration {
  readonly type: ColumnType;
  /** May be missing (`undefined`). Only such columns may be added to a kind that has records. */
  readonly optional?: boolean;
  /** Set at creation and never changed: a `replace` that changes it rejects with IMMUTABLE. */
  readonly immutable?: boolean;
}

/** A unique key within a workspace. A record that misses one of the columns takes no key. */
export interface UniqueDeclaration {
  /** Named in the CONFLICT that a taken key causes. */
  readonly name: string;
  readonly columns: readonly string[];
}

/** A facet of a kind: a typed map of key → value that can be searched and sorted by. */
export interface FacetDeclaration {
  /**
   * `merged` facets are written by commits. `projected` ones are read-only: the metric summaries of
   * the SeriesStore, for the run whose id is the record's.
   */
  readonly source: 'merged' | 'projected';
}

/**
 * The declaration of a kind of record. Core declares the kinds (`contracts/kinds/`); an adapter
 * turns them into tables, indexes and migrations.
 */
export interface KindDeclaration {
  /** Lower-case words joined by `_`. */
  readonly name: string;
  readonly columns: Readonly<Record<string, ColumnDeclaration>>;
  readonly unique?: readonly UniqueDeclaration[];
  /** Columns to index together, most selective use first; workspace goes in front by itself. */
  readonly indexes?: readonly (readonly string[])[];
  readonly facets?: Readonly<Record<string, FacetDeclaration>>;
  /** Whether each revision is kept with who, when and why: audit and time travel. */
  readonly history: 'kept' | 'none';
  /** Whether `claim` may take records of this kind. */
  readonly claimable?: boolean;
  /** The body as a whole is immutable: a `replace` that changes it rejects with IMMUTABLE. */
  readonly immutableBody?: boolean;
}

/** The value of a column; `undefined` is missing. */
export type ColumnValue = string | number | boolean | undefined;

/** Column name → value. */
export type Columns = Readonly<Record<string, ColumnValue>>;

/** Facet key → value, types kept: `0.001` and `'0.001'` are two values. */
export type FacetMap = Readonly<Record<string, Json>>;

/** A record as it is stored. */
export interface StoredRecord {
  readonly kind: string;
  readonly id: string;
  readonly workspace: string;
  /** 1 at creation, one more with each `replace`. Merges of facets and adjustments leave it alone. */
  readonly revision: number;
  readonly createdAt: number;
  /** When it came to its revision. */
  readonly updatedAt: number;
  readonly columns: Columns;
  readonly body: JsonObject;
  /** The facets that were asked for. */
  readonly facets: Readonly<Record<string, FacetMap>>;
}

/** One kept revision of a record. */
export interface RevisionEntry {
  readonly revision: number;
  readonly at: number;
  readonly by: string;
  readonly reason?: string;
  readonly correlationId?: string;
  readonly columns: Columns;
  readonly body: JsonObject;
  /** True for the last entry of a record that was removed. */
  readonly removed: boolean;
}
