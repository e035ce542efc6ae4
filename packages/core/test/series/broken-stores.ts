import { brokenAnswers } from './broken-answers.ts';
import { brokenPoints } from './broken-points.ts';
import { brokenRefusals } from './broken-refusals.ts';
import { brokenRows } from './broken-rows.ts';
import type { SeriesBreakage } from './fault.ts';

/**
 * For each case of `seriesStoreSuite` an adapter that breaks the promise of that case and no other: a
 * working store behind a fault of the kind that adapters have. Shows that the suite would see it.
 */
export const brokenSeriesStores: readonly SeriesBreakage[] = [
  ...brokenPoints,
  ...brokenAnswers,
  ...brokenRows,
  ...brokenRefusals,
];
