import type { RowBatch } from '@keelson/core';

/** A batch of rows at these times, each with its sequence and place: `3.0`, `3.1` … */
export function rowsAt(
  times: readonly number[],
  of: {
    readonly owner?: string;
    readonly stream?: string;
    readonly writer?: string;
    readonly sequence: number;
  },
): RowBatch {
  const { owner = 'deployment', stream = 'predictions', writer = 'w', sequence } = of;
  return {
    writer,
    sequence,
    stream: { workspace: 'w', stream, owner },
    at: Float64Array.from(times),
    columns: { id: { type: 'text', values: times.map((_, i) => `${sequence}.${i}`) } },
  };
}
