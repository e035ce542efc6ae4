import { goalText, type Row } from './row.ts';

const nameWidth = 45;
const valueWidth = 10;

/**
 * The rows as text of at most 80 columns: a figure with its quartiles, and below it what it is compared
 * with, value under value, the ratio beside it.
 */
export function tableOf(rows: readonly Row[]): string {
  const head = `${' '.repeat(nameWidth)}${'median'.padStart(valueWidth)}  quartiles`;
  return [head, ...rows.flatMap(linesOf)].join('\n');
}

function linesOf(row: Row): string[] {
  const { name, value, unit, baseline, ratio, spread } = row;
  const range = spread === undefined ? '' : `${numberText(spread[0])} … ${numberText(spread[1])}`;
  const lines = cells(`${name} [${unit}]`, value, range);
  const goal = goalText(row);
  if (goal !== undefined) lines.push(`  ${goal}`);
  if (baseline === undefined) return lines;
  const times = ratio === undefined ? '' : `ratio ${numberText(ratio)}`;
  return [...lines, ...cells(`  beside ${baseline.name}`, baseline.value, times)];
}

/** Long names take lines of their own; the numbers stand on the last one. */
function cells(name: string, value: number, rest: string): string[] {
  const lines = wrap(name, nameWidth - 1);
  const last = lines.pop() ?? '';
  const number = numberText(value).padStart(valueWidth);
  return [...lines, `${last.padEnd(nameWidth)}${number}  ${rest}`.trimEnd()];
}

function wrap(text: string, width: number): string[] {
  const indent = /^ */.exec(text)?.[0] ?? '';
  const lines: string[] = [];
  let line = indent;
  for (const word of text.trim().split(' ')) {
    if (line.trim() !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = `${indent}  ${word}`;
    } else {
      line += line.trim() === '' ? word : ` ${word}`;
    }
  }
  return [...lines, line];
}

/** Three significant digits, thousands apart: `1,234,000`, `12.3`, `0.0457`. */
function numberText(value: number): string {
  const rounded = Number(value.toPrecision(3));
  if (Math.abs(rounded) >= 1_000) return rounded.toLocaleString('en-US');
  return Math.abs(rounded) < 0.001 ? String(rounded) : rounded.toPrecision(3);
}
