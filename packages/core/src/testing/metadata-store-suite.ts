import { claimCases } from './metadata/claims.ts';
import { commitCases } from './metadata/commits.ts';
import { edgeCases } from './metadata/edges.ts';
import { eventRemovalCases } from './metadata/event-removal.ts';
import { eventCases } from './metadata/events.ts';
import { facetCases } from './metadata/facets.ts';
import { historyCases } from './metadata/history.ts';
import { isolationCases } from './metadata/isolation.ts';
import { lifecycleCases } from './metadata/lifecycle.ts';
import { orderCases } from './metadata/orders.ts';
import { queryCases } from './metadata/queries.ts';
import { queryRefusalCases } from './metadata/query-refusals.ts';
import { recordCases } from './metadata/records.ts';
import { refusalCases } from './metadata/refusals.ts';
import { restoreCases } from './metadata/restores.ts';
import type { MetadataStoreHarness } from './metadata/scene.ts';
import { textQueryCases } from './metadata/text-queries.ts';
import { uniqueKeyCases } from './metadata/unique-keys.ts';
import { valueCases } from './metadata/values.ts';
import type { Suite } from './suite.ts';

/**
 * What every MetadataStore has to keep, promise by promise. The suite brings its own kinds; each case has
 * a store of its own, opened through the harness.
 */
export const metadataStoreSuite: Suite<MetadataStoreHarness> = {
  contract: 'MetadataStore',
  cases: [
    ...recordCases,
    ...uniqueKeyCases,
    ...facetCases,
    ...historyCases,
    ...restoreCases,
    ...commitCases,
    ...valueCases,
    ...refusalCases,
    ...queryRefusalCases,
    ...queryCases,
    ...textQueryCases,
    ...orderCases,
    ...eventCases,
    ...eventRemovalCases,
    ...claimCases,
    ...edgeCases,
    ...isolationCases,
    ...lifecycleCases,
  ],
};
