export { usualInputs } from './checks/input-check.ts';
export { type GoldenRequest, goldenRequest } from './golden-request.ts';
export type { CallerFacts, CallerOption, CallerRequest } from './hosting/caller-facts.ts';
export type { DeploymentStatus } from './hosting/deployment-status.ts';
export { LocalServingSource } from './hosting/local-source.ts';
export { labelOutput, probabilitiesOutput } from './hosting/prediction-rows.ts';
export { openServing, type Serving } from './hosting/serving.ts';
export type { ServingOptions } from './hosting/serving-options.ts';
export type { ShadowCounts } from './hosting/shadow-lane.ts';
export type { HttpAnswer, HttpRequest, RequestHeaders } from './http/exchange.ts';
export type { RateLimitOptions } from './http/rate-limit.ts';
export {
  type PlatformSourceOptions,
  platformSource,
  type Servable,
} from './platform-source.ts';
export { RemoteRuntime, type RemoteRuntimeName } from './remote/remote-runtime.ts';
export type { ReplicaStatus } from './replicas/replica-pool.ts';
export {
  InProcessRouter,
  type RoutedRequest,
  type RoutingDecision,
} from './routing/in-process-router.ts';
export type {
  JavaScriptModel,
  JavaScriptModelModule,
  ModelContext,
  ModelInput,
  ModelOutput,
} from './runtimes/javascript-model.ts';
export type { ModelManifest } from './runtimes/model-manifest.ts';
export { JavaScriptRuntime, OnnxRuntime, TfjsRuntime } from './runtimes/replica-runtime.ts';
export type { ScalingSignals } from './scaling/version-scaler.ts';
export { type InferenceServer, type ServeOptions, serve } from './serve.ts';
export type { ServedModel, ServedRoute, ServingSource } from './serving-source.ts';
