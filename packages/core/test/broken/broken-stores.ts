import { brokenClaims } from './broken-claims.ts';
import { brokenCommits, brokenFacets, brokenHistories } from './broken-commits.ts';
import { brokenEvents } from './broken-events.ts';
import { brokenOrders, brokenQueries } from './broken-queries.ts';
import { brokenRecords, brokenUniqueKeys } from './broken-records.ts';
import { brokenRestores } from './broken-restores.ts';
import { brokenEdges, brokenIsolation, brokenLifecycles } from './broken-scopes.ts';
import type { BrokenStore } from './broken-store.ts';
import { brokenRefusals, brokenValues } from './broken-values.ts';

/** One store for each promise of the suite, and for some of them several, with a fault that breaks it. */
export const brokenStores: readonly BrokenStore[] = [
  ...brokenRecords,
  ...brokenUniqueKeys,
  ...brokenFacets,
  ...brokenHistories,
  ...brokenRestores,
  ...brokenCommits,
  ...brokenValues,
  ...brokenRefusals,
  ...brokenQueries,
  ...brokenOrders,
  ...brokenEvents,
  ...brokenClaims,
  ...brokenEdges,
  ...brokenIsolation,
  ...brokenLifecycles,
];
