import { type Moments, mergeMoments, momentsOf } from '../descriptive/moments.ts';

/** Consecutive losses together: of how many, from when on, their mean and sum of squared distances from it. Plain JSON. */
export type LossBlock = {
  readonly at: number;
  readonly count: number;
  readonly mean: number;
  readonly squares: number;
};

/** A history of any length in at most 128 blocks of equal size, the last of which is being filled. Plain JSON. */
export type LossBlocks = { readonly size: number; readonly list: readonly LossBlock[] };

const most = 128;

/** No losses yet. */
export const noBlocks: LossBlocks = { size: 25, list: [] };

/** With one more loss; where there are too many blocks, each two become one. */
export function addToBlocks({ size, list }: LossBlocks, at: number, loss: number): LossBlocks {
  const last = list.at(-1);
  if (last !== undefined && last.count < size) {
    const grown = joined(last, { at, ...pick(momentsOf([loss])) });
    return { size, list: [...list.slice(0, -1), grown] };
  }
  const fresh = { at, ...pick(momentsOf([loss])) };
  if (list.length < most) return { size, list: [...list, fresh] };
  const halved = Array.from({ length: most / 2 }, (_, i) =>
    joined(list[2 * i] as LossBlock, list[2 * i + 1] as LossBlock),
  );
  return { size: 2 * size, list: [...halved, fresh] };
}

function joined(a: LossBlock, b: LossBlock): LossBlock {
  return { at: a.at, ...pick(mergeMoments(momentsIn(a), momentsIn(b))) };
}

function momentsIn({ count, mean, squares }: LossBlock): Moments {
  return { count, mean, squares, low: null, high: null };
}

function pick({ count, mean, squares }: Moments): Omit<LossBlock, 'at'> {
  return { count, mean, squares };
}
