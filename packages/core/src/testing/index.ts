export { type ArtifactStoreHarness, artifactStoreSuite } from './artifact-store-suite.ts';
export {
  alike,
  BrokenPromise,
  defined,
  equal,
  ok,
  rejects,
} from './assertions.ts';
export {
  type ExecutorHarness,
  executorSuite,
  type TaskDirectory,
  type Work,
} from './executor-suite.ts';
export { type ProgramOptions, ScenarioChild } from './faults/child-of-scenario.ts';
export {
  type Crash,
  type CrashKind,
  type CrashPoint,
  CrashPoints,
  crashesOf,
  crashText,
  withCrashPoints,
} from './faults/crash-points.ts';
export { type Effect, EffectsLog, readEffects } from './faults/effects-log.ts';
export { type CrashReport, type CrashScenario, runEveryCrash } from './faults/every-crash.ts';
export { type Around, interposed, type StoreCall } from './faults/interposed.ts';
export { BrokenInvariants, checkInvariants, type Invariant } from './faults/invariants.ts';
export { type KillLoopOptions, type KillLoopReport, killLoop } from './faults/kill-loop.ts';
export { type Mutant, mutants } from './faults/mutants.ts';
export { type ScenarioContext, scenarioProcess, type Turn } from './faults/scenario-process.ts';
export { seededRandom, seedOf } from './faults/seed.ts';
export { StoreFaults } from './faults/store-faults.ts';
export { TcpProxy } from './faults/tcp-proxy.ts';
export { VirtualClock } from './faults/virtual-clock.ts';
export { workCrashes } from './faults/work-crashes.ts';
export { type WorkArgument, workProcess } from './faults/work-process.ts';
export {
  type Handled,
  Worker,
  type WorkerOptions,
  type WorkLeft,
  workInvariants,
  workIsDone,
  workKinds,
} from './faults/work-scenario.ts';
export type { MetadataStoreHarness } from './metadata/scene.ts';
export { metadataStoreSuite } from './metadata-store-suite.ts';
export { type ModelRuntimeHarness, modelRuntimeSuite } from './model-runtime-suite.ts';
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
