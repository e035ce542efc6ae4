import { requireFinite, requireLevel } from '../arguments.ts';
import type { ChangeDetector, DetectorSignal } from './change-detector.ts';

/** How to watch. */
export interface AdwinOptions {
  /** Chance of a false cut at one look; 0.002 by default. */
  readonly delta?: number;
  /** The window is examined every so many values; 32 by default. */
  readonly clock?: number;
  /** Buckets of one size; 5 by default. */
  readonly bucketsPerRow?: number;
  /** Shortest part that is compared; 5 by default. */
  readonly shortest?: number;
  /** Values up to which nothing is found; 10 by default. */
  readonly gracePeriod?: number;
}

/** Buckets of 2^row values, oldest first: their sums and their sums of squared deviations. */
export type AdwinRow = { readonly totals: readonly number[]; readonly squares: readonly number[] };

/** The adaptive window, with the options. Plain JSON. */
export type AdwinState = {
  readonly options: Required<AdwinOptions>;
  readonly signal: DetectorSignal;
  readonly ticks: number;
  readonly width: number;
  readonly total: number;
  /** Sum of squared deviations in the window. */
  readonly squares: number;
  readonly rows: readonly AdwinRow[];
};

/**
 * ADWIN (Bifet & Gavaldà 2007): a window that drops its oldest part whenever its mean differs from that of the rest by
 * more than chance. Compares at every bucket boundary, as MOA does and river since its issue 1614.
 */
export const adwin: ChangeDetector<AdwinOptions, AdwinState> = {
  init: ({ delta = 0.002, clock = 32, bucketsPerRow = 5, shortest = 5, gracePeriod = 10 } = {}) => {
    requireLevel('delta', delta);
    return fresh({ delta, clock, bucketsPerRow, shortest, gracePeriod });
  },

  update: (before, value) => {
    requireFinite('value', value);
    const state = before.signal === 'drift' ? fresh(before.options) : before;
    const { clock, gracePeriod } = state.options;
    let grown = withValue(state, value);
    if (grown.ticks % clock !== 0 || grown.width <= gracePeriod) return grown;
    let signal: DetectorSignal = 'none';
    while (hasCut(grown)) {
      signal = 'drift';
      grown = withoutOldest(grown);
    }
    return { ...grown, signal };
  },
};

function fresh(options: Required<AdwinOptions>): AdwinState {
  return {
    options,
    signal: 'none',
    ticks: 0,
    width: 0,
    total: 0,
    squares: 0,
    rows: [{ totals: [], squares: [] }],
  };
}

function withValue(state: AdwinState, value: number): AdwinState {
  const { width, total } = state;
  const added = width > 0 ? (width * (value - total / width) ** 2) / (width + 1) : 0;
  const [first = { totals: [], squares: [] }, ...rest] = state.rows;
  const rows = [{ totals: [...first.totals, value], squares: [...first.squares, 0] }, ...rest];
  return {
    ...state,
    ticks: state.ticks + 1,
    width: width + 1,
    total: total + value,
    squares: state.squares + added,
    rows: compressed(rows, state.options.bucketsPerRow),
  };
}

/** Merges the two oldest buckets of a row that has one too many into the next row. */
function compressed(rows: readonly AdwinRow[], bucketsPerRow: number): readonly AdwinRow[] {
  const kept = [...rows];
  for (let index = 0; index < kept.length; index += 1) {
    const row = kept[index] as AdwinRow;
    if (row.totals.length <= bucketsPerRow) break;
    const [a = 0, b = 0] = row.totals;
    const [squaresA = 0, squaresB = 0] = row.squares;
    const size = 2 ** index;
    const between = (size * (a / size - b / size) ** 2) / 2;
    const next = kept[index + 1] ?? { totals: [], squares: [] };
    kept[index] = { totals: row.totals.slice(2), squares: row.squares.slice(2) };
    kept[index + 1] = {
      totals: [...next.totals, a + b],
      squares: [...next.squares, squaresA + squaresB + between],
    };
  }
  return kept;
}

/** Whether some boundary between buckets separates two parts with different means. */
function hasCut(state: AdwinState): boolean {
  const { shortest } = state.options;
  let older = 0;
  let olderTotal = 0;
  for (let index = state.rows.length - 1; index >= 0; index -= 1) {
    for (const total of state.rows[index]?.totals ?? []) {
      older += 2 ** index;
      olderTotal += total;
      const newer = state.width - older;
      if (newer < shortest || older < shortest) continue;
      const gap = olderTotal / older - (state.total - olderTotal) / newer;
      if (Math.abs(gap) > bound(state, older, newer)) return true;
    }
  }
  return false;
}

function bound({ options, width, squares }: AdwinState, older: number, newer: number): number {
  const log = Math.log((2 * Math.log(width)) / options.delta);
  const inverse = 1 / (older - options.shortest + 1) + 1 / (newer - options.shortest + 1);
  return Math.sqrt((2 * inverse * squares * log) / width) + (2 / 3) * log * inverse;
}

function withoutOldest(state: AdwinState): AdwinState {
  const rows = [...state.rows];
  const last = rows.pop() ?? { totals: [], squares: [] };
  const size = 2 ** rows.length;
  const removed = last.totals[0] ?? 0;
  const width = state.width - size;
  const total = state.total - removed;
  const between = (size * width * (removed / size - total / width) ** 2) / (size + width);
  if (last.totals.length > 1)
    rows.push({ totals: last.totals.slice(1), squares: last.squares.slice(1) });
  return {
    ...state,
    width,
    total,
    squares: state.squares - (last.squares[0] ?? 0) - between,
    rows: rows,
  };
}
