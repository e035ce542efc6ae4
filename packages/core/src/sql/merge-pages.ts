import type { Order } from '../contracts/query.ts';
import { compareText } from '../language/stored-value.ts';
import type { SqlValue } from './dialect.ts';
import type { PagePosition } from './page-cursor.ts';
import type { SearchContext } from './search-context.ts';
import { sortingSql } from './sort-keys.ts';
import { SqlBuilder } from './sql-builder.ts';

/** The first `limit` entries of several pages of one order, each in that order. */
export function mergePages<T extends PagePosition>(
  context: SearchContext,
  orderBy: readonly Order[],
  pages: readonly (readonly T[])[],
  limit: number,
): readonly T[] {
  if (pages.length === 1) return (pages[0] ?? []).slice(0, limit);
  const names = { record: 'r', rid: 'r.rid' };
  const { keys } = sortingSql(context, new SqlBuilder(context.dialect), names, orderBy);
  const compare = (a: T, b: T): number => {
    for (const [i, { direction }] of keys.entries()) {
      const sign = compareValues(a.values[i] ?? null, b.values[i] ?? null, direction);
      if (sign !== 0) return sign;
    }
    return compareText(a.id, b.id);
  };
  return pages.flat().toSorted(compare).slice(0, limit);
}

function compareValues(a: SqlValue, b: SqlValue, direction: 'asc' | 'desc'): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  const sign =
    typeof a === 'number' && typeof b === 'number' ? a - b : compareText(String(a), String(b));
  // The difference of two equal infinities is none.
  if (Number.isNaN(sign) || sign === 0) return 0;
  return direction === 'asc' ? sign : -sign;
}
