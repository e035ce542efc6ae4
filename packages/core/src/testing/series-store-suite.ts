import { pointCases } from './series/points.ts';
import { refusalCases } from './series/refusals.ts';
import { rowCases } from './series/rows.ts';
import type { SeriesStoreHarness } from './series/scene.ts';
import { summaryCases } from './series/summaries.ts';
import { valueCases } from './series/values.ts';
import type { Suite } from './suite.ts';

export type { SeriesStoreHarness } from './series/scene.ts';

/** The promises of `SeriesStore`, each as a case; see `docs/writing-an-adapter.md`. */
export const seriesStoreSuite: Suite<SeriesStoreHarness> = {
  contract: 'SeriesStore',
  cases: [...pointCases, ...valueCases, ...summaryCases, ...rowCases, ...refusalCases],
};
