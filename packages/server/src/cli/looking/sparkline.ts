const bars = '▁▂▃▄▅▆▇█';

/** Values as a line of bars, least to greatest; a gap where there is none. */
export function sparkline(values: readonly number[]): string {
  const finite = values.filter(Number.isFinite);
  const [least, greatest] = [Math.min(...finite), Math.max(...finite)];
  return values
    .map((value) => {
      if (!Number.isFinite(value)) return ' ';
      const share = greatest === least ? 0 : (value - least) / (greatest - least);
      return bars[Math.min(bars.length - 1, Math.floor(share * bars.length))] ?? ' ';
    })
    .join('');
}
