export { type ArtifactStoreHarness, artifactStoreSuite } from './artifact-store-suite.ts';
export {
  alike,
  BrokenPromise,
  defined,
  equal,
  ok,
  rejects,
} from './assertions.ts';
export type { MetadataStoreHarness } from './metadata/scene.ts';
export { metadataStoreSuite } from './metadata-store-suite.ts';
export { type ProjectedFacetHarness, projectedFacetSuite } from './projected-facet-suite.ts';
export { type SeriesStoreHarness, seriesStoreSuite } from './series-store-suite.ts';
export {
  type Case,
  type CaseResult,
  type OpenHarness,
  runCase,
  runSuite,
  type Suite,
} from './suite.ts';
export {
  type RoutedTraffic,
  type TrafficRouterHarness,
  trafficRouterSuite,
} from './traffic-router-suite.ts';
