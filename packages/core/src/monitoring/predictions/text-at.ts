import type { RowColumns } from '../../contracts/series-store.ts';

/** The text of a row in a column of texts or JSON; undefined where there is none. */
export function textAt(
  columns: RowColumns['columns'],
  name: string,
  i: number,
): string | undefined {
  const column = Object.hasOwn(columns, name) ? columns[name] : undefined;
  if (column === undefined || column.type === 'number') return undefined;
  return column.values[i] ?? undefined;
}
