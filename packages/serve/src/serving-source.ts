import type {
  DeploymentHealth,
  ModelSignature,
  PredictionSink,
  ScalingConfig,
  ScalingReport,
  ServingConfig,
  VersionedRoute,
} from '@keelson/core';

/** Keeps nothing; no rows are made for it. */
export const noSink: PredictionSink = {
  record: () => undefined,
  flush: () => Promise.resolve(),
  health: () => ({ pending: 0, dropped: 0 }),
};

/** The route of a deployment, with what serving says about it. */
export interface ServedRoute extends VersionedRoute {
  /** Such as `PRODUCTION`. */
  readonly environment: string;
  /** How the deployment's versions are run; what is left out is as the process has it. */
  readonly serving?: ServingConfig;
  /** What each replica that is a process may take: above it another takes its place; as the process has it when left out. */
  readonly memoryBytes?: number;
  /** Nobody is meant to be answered until it is started again. */
  readonly isStopped?: boolean;
  /** Where the number of replicas follows the load. */
  readonly scaling?: ScalingConfig;
  /** Why there may not be fewer replicas than there are, where something keeps them. */
  readonly keepReplicas?: string;
}

/** A model version whose files lie verified in a local directory. */
export interface ServedModel {
  readonly versionId: string;
  /** The model's name. */
  readonly name: string;
  /** The version's number, such as `1.2.0`. */
  readonly version: string;
  /** Such as `JS`. */
  readonly format: string;
  readonly signature: ModelSignature;
  readonly directory: string;
}

/**
 * What serving needs of a platform: routes by deployment name, models by version, and where predictions go. A
 * source must bear any number of calls at once.
 */
export interface ServingSource {
  /** The route that should be in force. NOT_FOUND when there is no such deployment, or it has no route yet. */
  route(deployment: string): Promise<ServedRoute>;
  /**
   * Calls `wake` soon after a route may have changed; in vain is fine, and no change after the call of `watch` may
   * be missed. Serving also asks by itself every `pollMs`.
   */
  watch(deployments: readonly string[], wake: () => void): AsyncDisposable;
  /**
   * Brings the files of a version into a local directory and verifies them; NOT_FOUND, CORRUPT or
   * UNAVAILABLE when it cannot. The directory stays until the process ends.
   */
  model(versionId: string, options: { readonly signal: AbortSignal }): Promise<ServedModel>;
  readonly sink: PredictionSink;
  /** Is told when the replicas of a version follow the load. */
  scaled?(deployment: string, report: ScalingReport): Promise<unknown>;
  /** Is told how a deployment is doing in this process, when that changes and now and then. */
  report?(deployment: string, health: DeploymentHealth): Promise<unknown>;
}
