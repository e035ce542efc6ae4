import type { Order } from '../contracts/query.ts';
import type { Json } from '../json.ts';
import { type Evaluable, selectValue } from './select-value.ts';
import { compareText, numberOf, textOf } from './stored-value.ts';

/**
 * A comparator that sorts records as a query's `orderBy` does: the reference for every store. Missing
 * values come last in both directions; ties are settled by id ascending.
 */
export function compareRecords(orderBy: readonly Order[]): (a: Evaluable, b: Evaluable) => number {
  return (a, b) => {
    for (const { by, direction } of orderBy) {
      const left = sortKey(selectValue(a, by), by.from === 'column');
      const right = sortKey(selectValue(b, by), by.from === 'column');
      if (left.group !== right.group) return left.group - right.group;
      const sign = compareKeys(left, right);
      if (sign !== 0) return direction === 'asc' ? sign : -sign;
    }
    return compareText(a.id ?? '', b.id ?? '');
  };
}

interface SortKey {
  /** 0 values with a number, 1 values with text only, 2 missing. Never turned round by `desc`. */
  readonly group: 0 | 1 | 2;
  readonly number: number;
  readonly text: string;
}

function sortKey(value: Json | undefined, isColumn: boolean): SortKey {
  // A text column sorts as text, whatever its values read as.
  const number = isColumn && typeof value === 'string' ? undefined : numberOf(value);
  if (number !== undefined && !Number.isNaN(number)) return { group: 0, number, text: '' };
  const text = typeof value === 'number' ? undefined : textOf(value);
  if (text !== undefined) return { group: 1, number: 0, text };
  return { group: 2, number: 0, text: '' };
}

function compareKeys(a: SortKey, b: SortKey): number {
  if (a.number !== b.number) return a.number < b.number ? -1 : 1;
  return compareText(a.text, b.text);
}
