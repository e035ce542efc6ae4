/** What is stored of a series in one place: the steps from the first to the last of its points. */
export interface StepSpan {
  readonly stepMin: number;
  readonly stepMax: number;
}

/**
 * Spans that touch belong together: the points of theirs may interleave. In order of steps; the points of one
 * group come before all of the next one's.
 */
export function clustersOf<T extends StepSpan>(pieces: readonly T[]): readonly (readonly T[])[] {
  const clusters: T[][] = [];
  let stepMax = Number.NEGATIVE_INFINITY;
  for (const piece of pieces.toSorted((a, b) => a.stepMin - b.stepMin)) {
    const last = clusters.at(-1);
    if (last !== undefined && piece.stepMin <= stepMax) last.push(piece);
    else clusters.push([piece]);
    stepMax = Math.max(stepMax, piece.stepMax);
  }
  return clusters;
}
