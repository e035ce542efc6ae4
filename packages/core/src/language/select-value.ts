import type { Selector, SummaryFigure } from '../contracts/query.ts';
import type { Columns, ColumnValue, FacetMap } from '../contracts/record.ts';
import type { Json, JsonObject } from '../json.ts';

/**
 * What a predicate is judged on. A `StoredRecord` is one; so is anything else that has columns, a body
 * and facets. What is left out is missing.
 */
export interface Evaluable {
  readonly id?: string;
  readonly revision?: number;
  readonly createdAt?: number;
  readonly updatedAt?: number;
  readonly columns: Columns;
  readonly body: JsonObject;
  readonly facets: Readonly<Record<string, FacetMap>>;
  /** Figures of projected facets: facet → key → figure → value. `last` is the facet's value itself. */
  readonly figures?: Readonly<Record<string, Readonly<Record<string, Figures>>>>;
}

/** The figures of one metric summary; a missing one is left out. */
export type Figures = { readonly [figure in SummaryFigure]?: number };

/** The columns that every kind has without declaring them. */
export const builtInColumns = ['id', 'revision', 'createdAt', 'updatedAt'] as const;

/** The value that lies where the selector points; undefined where it is missing. */
export function selectValue(record: Evaluable, selector: Selector): Json | undefined {
  switch (selector.from) {
    case 'column':
      return columnValue(record, selector.name);
    case 'facet': {
      const { facet, key, figure } = selector;
      if (figure === undefined || figure === 'last') return own(own(record.facets, facet), key);
      return own(own(own(record.figures, facet), key), figure);
    }
    case 'body': {
      let value: Json | undefined = record.body;
      for (const key of selector.path) value = property(value, key);
      return value;
    }
  }
}

function columnValue(record: Evaluable, name: string): ColumnValue {
  for (const builtIn of builtInColumns) if (name === builtIn) return record[builtIn];
  return own(record.columns, name);
}

function property(value: Json | undefined, key: string): Json | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return own(value as JsonObject, key);
}

// Own properties only: `__proto__` and `constructor` are keys like any other.
function own<T>(map: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return map !== undefined && Object.hasOwn(map, key) ? map[key] : undefined;
}
