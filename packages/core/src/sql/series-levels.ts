import { chunkPoints } from './series-chunk.ts';
import { type PointSet, slicePoints } from './series-points.ts';

/** Chunks of one level that are merged into a larger one. */
const fanIn = 8;
/** A chunk's level follows from its size; those of level 3 are full and never touched again. */
const levelSizes: readonly number[] = [64, 512, chunkPoints];
const fullLevel = levelSizes.length;

/**
 * How many small chunks of each level a series has, and which of them newcomers are merged with. In order of
 * arrival the levels of a series never rise (what is smaller than the newcomer is merged into it), so that
 * merging a level and all below it takes the newest points, and ties keep their order.
 */
export class ChunkLevels {
  readonly #counts: number[];

  /** Out of what a summary keeps: 4 bits a level. */
  constructor(tiers: number) {
    this.#counts = levelSizes.map((_, level) => (tiers >> (4 * level)) & 15);
  }

  /** The greatest level whose chunks, and those below, become one with so many points; −1 for none. */
  mergedBy(points: number): number {
    const level = levelOf(points);
    const full = level < fullLevel && (this.#counts[level] as number) + 1 >= fanIn;
    return full ? level : level - 1;
  }

  /** Whether there are chunks above the level `above`, up to `upto`. */
  hasBetween(above: number, upto: number): boolean {
    return this.#counts.slice(above + 1, upto + 1).some((count) => count > 0);
  }

  /** Those up to a level are merged. */
  clear(upto: number): void {
    this.#counts.fill(0, 0, upto + 1);
  }

  /** Counts a chunk; answers its level. */
  add(points: number): number {
    const level = levelOf(points);
    if (level < fullLevel) this.#counts[level] = (this.#counts[level] as number) + 1;
    return level;
  }

  get tiers(): number {
    return this.#counts.reduce((tiers, count, level) => tiers | (count << (4 * level)), 0);
  }
}

/** Points as chunks take them. */
export function* piecesOf(points: PointSet): Iterable<PointSet> {
  for (let from = 0; from < points.steps.length; from += chunkPoints) {
    yield slicePoints(points, from, Math.min(from + chunkPoints, points.steps.length));
  }
}

function levelOf(points: number): number {
  const level = levelSizes.findIndex((size) => points < size);
  return level < 0 ? fullLevel : level;
}
