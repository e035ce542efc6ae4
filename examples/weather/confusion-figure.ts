/** Counts of true class (row) against predicted class (column). */
export function confusionMatrix(
  truth: readonly number[],
  predicted: readonly number[],
  classes: number,
): number[][] {
  const counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  truth.forEach((row, i) => {
    const cells = counts[row];
    const column = predicted[i];
    if (cells !== undefined && column !== undefined) cells[column] = (cells[column] ?? 0) + 1;
  });
  return counts;
}

/** A confusion matrix as SVG; each row is shaded by its own total. */
export function confusionFigure(
  counts: readonly (readonly number[])[],
  names: readonly string[],
): string {
  const cell = 64;
  const left = 80;
  const top = 40;
  const parts: string[] = [];
  counts.forEach((row, r) => {
    const total = row.reduce((sum, n) => sum + n, 0);
    const y = top + r * cell;
    parts.push(
      `<text x="${left - 8}" y="${y + cell / 2 + 4}" text-anchor="end">${names[r]}</text>`,
    );
    row.forEach((count, c) => {
      const share = total === 0 ? 0 : count / total;
      const x = left + c * cell;
      parts.push(
        `<rect x="${x}" y="${y}" width="${cell - 2}" height="${cell - 2}" fill="hsl(205 70% ${(96 - 56 * share).toFixed(0)}%)"/>`,
        `<text x="${x + cell / 2}" y="${y + cell / 2 + 4}" text-anchor="middle" fill="${share > 0.6 ? '#fff' : '#000'}">${count}</text>`,
      );
    });
  });
  names.forEach((name, c) => {
    parts.push(
      `<text x="${left + c * cell + cell / 2}" y="${top - 10}" text-anchor="middle">${name}</text>`,
    );
  });
  const size = names.length * cell;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${left + size + 10} ${top + size + 34}" font-family="system-ui,sans-serif" font-size="13">
${parts.join('\n')}
<text x="${left + size / 2}" y="${top + size + 22}" text-anchor="middle">columns: predicted, rows: observed</text></svg>`;
}
