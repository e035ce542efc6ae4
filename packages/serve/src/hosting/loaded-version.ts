import { type Isolation, KeelsonError, type Logger, type ServingConfig } from '@keelson/core';
import { compileBatching } from '../batching/batching.ts';
import { compileSignature, type SignatureCheck } from '../protocol/signature-check.ts';
import { InlineReplica } from '../replicas/inline-replica.ts';
import type { StartReplica } from '../replicas/replica.ts';
import { ReplicaPool } from '../replicas/replica-pool.ts';
import { ThreadReplica } from '../replicas/thread-replica.ts';
import type { ServedModel } from '../serving-source.ts';
import { compilePredictionRows, type PredictionRows } from './prediction-rows.ts';

/** How versions are run: by a deployment's own configuration, and where that is silent, by the process's. */
export interface ReplicaSettings
  extends Pick<ServingConfig, 'runtime' | 'batching' | 'cache' | 'answers'> {
  /** Replicas of each version. */
  readonly replicas: number;
  readonly isolation: Isolation;
  /** Requests that may wait for a replica of one version. */
  readonly maxQueue: number;
  readonly loadTimeoutMs: number;
  /** How long a request may run past its deadline before its replica counts as hung and is replaced. */
  readonly hungAfterMs: number;
}

/** A model version with live replicas. */
export interface LoadedVersion {
  readonly model: ServedModel;
  /** What it was loaded with, as {@link settingsKey} has it. */
  readonly settingsKey: string;
  readonly pool: ReplicaPool;
  readonly check: SignatureCheck;
  readonly rows: PredictionRows;
}

/** Settings with one key run a version alike. */
export function settingsKey(settings: ReplicaSettings): string {
  return JSON.stringify(settings);
}

const formats: readonly string[] = ['JS', 'JAVASCRIPT'];

/** Starts and warms the replicas of a version. Rejects with FAILED, naming file and fault; UNSUPPORTED for its format. */
export async function loadVersion(
  deployment: string,
  model: ServedModel,
  settings: ReplicaSettings,
  logger: Logger | undefined,
): Promise<LoadedVersion> {
  if (!formats.includes(model.format.toUpperCase())) {
    throw new KeelsonError(
      'UNSUPPORTED',
      `Version ${model.version} of ${model.name} has the format ${model.format}; serving can run ${formats[0]}.`,
    );
  }
  const { directory, signature } = model;
  const start: StartReplica = (id, events) =>
    settings.isolation === 'none'
      ? InlineReplica.start(id, { directory, signature }, events)
      : ThreadReplica.start(id, { directory, signature, ...settings }, events);
  const batching = compileBatching(signature, settings.batching);
  const pool = await ReplicaPool.open({
    name: `${deployment}/${model.version}`,
    replicas: settings.isolation === 'none' ? 1 : settings.replicas,
    maxQueue: settings.maxQueue,
    start,
    ...(batching === undefined ? {} : { batching }),
    ...(logger === undefined ? {} : { logger }),
  });
  return {
    model,
    settingsKey: settingsKey(settings),
    pool,
    check: compileSignature(signature),
    rows: compilePredictionRows(signature),
  };
}
