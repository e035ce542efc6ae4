import { clean, pad, shorten, textWidth } from './text-width.ts';

/** One column of a table. */
export interface Column<Row> {
  /** Capitals, such as `STATUS`. */
  readonly title: string;
  /** An empty cell for undefined. */
  value(row: Row): string | number | undefined;
  /** `right` for what is compared by its digits. */
  readonly align?: 'left' | 'right';
  /** Never shortened, such as an id that is to be copied. */
  readonly whole?: true;
}

const gap = 2;
/** What a shortened cell keeps as long as others have more. */
const leastWidth = 8;

/**
 * The lines of a table that fits into so many columns. Where it does not, the widest columns are shortened, each cell to
 * its beginning and `…`; those that are `whole` only give way when nothing else is left.
 */
export function tableLines<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width: number,
): { readonly head: string; readonly body: readonly string[] } {
  const cells = rows.map((row) => columns.map((column) => clean(String(column.value(row) ?? ''))));
  const natural = columns.map((column, index) =>
    Math.max(textWidth(column.title), ...cells.map((line) => textWidth(line[index] ?? ''))),
  );
  const widths = fitted(
    natural,
    columns.map(({ whole }) => whole === true),
    width - gap * (columns.length - 1),
  );
  const draw = (line: readonly string[]): string =>
    line
      .map((cell, index) =>
        pad(shorten(cell, widths[index] ?? 0), widths[index] ?? 0, columns[index]?.align),
      )
      .join(' '.repeat(gap))
      .trimEnd();
  return { head: draw(columns.map(({ title }) => title)), body: cells.map(draw) };
}

function fitted(natural: readonly number[], whole: readonly boolean[], room: number): number[] {
  const widths = [...natural];
  let over = widths.reduce((sum, one) => sum + one, 0) - room;
  const give = (may: (index: number) => boolean): void => {
    while (over > 0) {
      const widest = widths.reduce(
        (best, one, index) => (may(index) && one > (widths[best] ?? 0) ? index : best),
        -1,
      );
      if (widest === -1) return;
      widths[widest] = (widths[widest] ?? 0) - 1;
      over -= 1;
    }
  };
  give((index) => !whole[index] && (widths[index] ?? 0) > leastWidth);
  give((index) => !whole[index] && (widths[index] ?? 0) > 1);
  give((index) => (widths[index] ?? 0) > 1);
  return widths;
}
