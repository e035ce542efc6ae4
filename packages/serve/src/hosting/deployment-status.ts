import type { KeelsonError } from '@keelson/core';
import type { BatchCounts } from '../batching/batch-counter.ts';
import type { ResultCacheCounts } from '../caching/result-cache.ts';
import type { ReplicaStatus } from '../replicas/replica-pool.ts';
import type { ShadowCounts } from './shadow-lane.ts';

/** How a deployment is doing in this process. */
export interface DeploymentStatus {
  readonly deployment: string;
  readonly environment: string | undefined;
  /** `DEGRADED`: it answers, but not as its newest route wants. `FAILED`: it does not answer. `STOPPED`: nor is it meant to. */
  readonly state: 'STARTING' | 'HEALTHY' | 'DEGRADED' | 'FAILED' | 'STOPPED';
  /** Of the route in force. */
  readonly generation: number | undefined;
  readonly versions: readonly {
    readonly versionId: string;
    readonly version: string;
    readonly replicas: readonly ReplicaStatus[];
    /** How many there are meant to be. */
    readonly wanted: number;
    /** None until somebody asks: the last one has gone because nobody did. */
    readonly isDormant: boolean;
    /** Why no replica is there although one is meant to be. */
    readonly failure: KeelsonError | undefined;
    readonly queued: number;
    readonly crashes: number;
    /** What came of sharing calls; undefined where each request is a call of its own. */
    readonly batches: BatchCounts | undefined;
    /** Undefined without a cache. */
    readonly cache: ResultCacheCounts | undefined;
  }[];
  /** Versions that the newest route names and that are not loaded here. */
  readonly missing: readonly string[];
  /** Why the newest route is not, or not wholly, in force. */
  readonly error: KeelsonError | undefined;
  readonly shadows: ShadowCounts;
}
