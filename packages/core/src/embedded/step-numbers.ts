import type { PointTarget } from '../contracts/point-target.ts';
import type { SeriesKey } from '../contracts/series-store.ts';
import type { PointBlock } from './point-block.ts';

/** The greatest step that is stored of a series; undefined when there is none. */
export type FindLastSteps = (
  series: readonly SeriesKey[],
) => Promise<readonly (number | undefined)[]>;

interface Known {
  /** The greatest step so far. */
  greatest: number;
  /** The ordinal of the latest automatic point. */
  ordinal: number;
}

/**
 * Gives points without a step the one behind the greatest of their series: of those that were stored
 * when the series was first seen here, and of this writer's own since. Blocks must come in order.
 */
export class StepNumbers {
  readonly #findLastSteps: FindLastSteps;
  readonly #known = new Map<string, Known>();

  constructor(findLastSteps: FindLastSteps) {
    this.#findLastSteps = findLastSteps;
  }

  /** The block with all steps given. Rejects as the store does, and can then be asked again. */
  async resolve(block: PointBlock): Promise<PointBlock> {
    const { automatic } = block;
    const names = block.series.map(nameOf);
    if (automatic !== undefined) await this.#learn(block, names, automatic);
    const steps = block.steps.slice();
    for (let i = 0; i < steps.length; i++) {
      const known = this.#known.get(names[block.seriesIndex[i] as number] as string);
      // A series without automatic points so far needs no bookkeeping: the store knows its steps.
      if (known === undefined) continue;
      if (automatic?.[i] === 1) {
        // Points that were dropped on the way leave a gap in the ordinals, and so in the steps.
        const ordinal = steps[i] as number;
        steps[i] = known.greatest + (ordinal - known.ordinal);
        known.ordinal = ordinal;
      }
      known.greatest = Math.max(known.greatest, steps[i] as number);
    }
    const { automatic: _, ...rest } = block;
    return { ...rest, steps };
  }

  async #learn(block: PointBlock, names: readonly string[], automatic: Uint8Array): Promise<void> {
    const wanted = new Set<number>();
    block.seriesIndex.forEach((series, i) => {
      if (automatic[i] === 1 && !this.#known.has(names[series] as string)) wanted.add(series);
    });
    if (wanted.size === 0) return;
    const places = [...wanted];
    const series = places.map((place) => block.series[place] as SeriesKey);
    const found = await this.#findLastSteps(series);
    places.forEach((place, i) => {
      this.#known.set(names[place] as string, { greatest: found[i] ?? -1, ordinal: -1 });
    });
  }
}

function nameOf(series: SeriesKey): string {
  return `${series.workspace}\u0000${series.owner}\u0000${series.key}`;
}

/** What a target's summaries say of series. */
export async function findLastSteps(
  target: PointTarget,
  series: readonly SeriesKey[],
): Promise<readonly (number | undefined)[]> {
  const steps: (number | undefined)[] = [];
  const byOwner = Map.groupBy(series, (key) => `${key.workspace}\u0000${key.owner}`);
  const found = new Map<SeriesKey, number>();
  for (const keys of byOwner.values()) {
    const { workspace, owner } = keys[0] as SeriesKey;
    const summaries = await target.store.summaries(
      workspace,
      owner,
      keys.map((key) => key.key),
    );
    for (const summary of summaries) {
      const key = keys.find((one) => one.key === summary.key);
      if (key !== undefined) found.set(key, summary.lastStep);
    }
  }
  for (const key of series) steps.push(found.get(key));
  return steps;
}
