import { availableParallelism } from 'node:os';
import type { Isolation, Logger, ServingConfig } from '@keelson/core';
import { compileBatching } from '../batching/batching.ts';
import { ResultCache } from '../caching/result-cache.ts';
import { type AnswerChecks, compileAnswerChecks } from '../checks/answer-checks.ts';
import { readBaseline } from '../checks/version-baseline.ts';
import { compileSignature, type SignatureCheck } from '../protocol/signature-check.ts';
import { remoteStarter } from '../remote/remote-replica.ts';
import { isRemoteName, remoteRuntimeOf } from '../remote/remote-server.ts';
import { ReplicaPool } from '../replicas/replica-pool.ts';
import { replicaStarter } from '../replicas/start-replica.ts';
import { chooseRuntime } from '../runtimes/choose-runtime.ts';
import { LoadMeter } from '../scaling/load-meter.ts';
import { type ScalingSignals, VersionScaler } from '../scaling/version-scaler.ts';
import type { ServedModel } from '../serving-source.ts';
import { compilePredictionRows, type PredictionRows } from './prediction-rows.ts';

const unbounded = Number.POSITIVE_INFINITY;

/** How versions are run: by a deployment's own configuration, and where that is silent, by the process's. */
export interface ReplicaSettings
  extends Pick<ServingConfig, 'runtime' | 'batching' | 'cache' | 'answers'> {
  /** Replicas of each version. */
  readonly replicas: number;
  readonly isolation: Isolation;
  /** Of each replica that is a process: above it another takes its place. No limit when left out. */
  readonly memoryBytes?: number | undefined;
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
  /** Undefined where the deployment declares none. */
  readonly cache: ResultCache | undefined;
  readonly meter: LoadMeter;
  readonly scaler: VersionScaler;
  readonly check: SignatureCheck;
  readonly rows: PredictionRows;
  readonly answers: AnswerChecks;
}

/** Settings with one key run a version alike; how many replicas there are can change meanwhile. */
export function settingsKey({ replicas: _, ...settings }: ReplicaSettings): string {
  return JSON.stringify(settings);
}

/**
 * Starts and warms the replicas of a version. Rejects with FAILED, naming file and fault; INVALID for a signature that the
 * files contradict, or options that the runtime does not take; UNSUPPORTED for a format that nothing here runs.
 */
export async function loadVersion(
  deployment: string,
  model: ServedModel,
  settings: ReplicaSettings,
  logger: Logger | undefined,
  signals: ScalingSignals = {},
): Promise<LoadedVersion> {
  const { directory, signature } = model;
  const baseline = await readBaseline(directory);
  const remote = remoteRuntimeOf(settings.runtime, model.format);
  const batching = compileBatching(signature, settings.batching);
  const { loadTimeoutMs } = settings;
  // What the configured server does not run is run by its format.
  const runtime = isRemoteName(settings.runtime) ? undefined : settings.runtime;
  const start =
    remote !== undefined
      ? remoteStarter({ runtime: remote, model, signature, loadTimeoutMs, logger })
      : replicaStarter({
          directory,
          signature,
          ...settings,
          runtime: chooseRuntime(model, runtime),
          options: runtime?.options ?? {},
          warmUpRows: batching?.maxRows ?? 1,
        });
  const pool = await ReplicaPool.open({
    name: `${deployment}/${model.version}`,
    replicas: settings.isolation === 'none' || remote !== undefined ? 1 : settings.replicas,
    maxQueue: settings.maxQueue,
    start,
    isScalable: remote !== undefined || settings.isolation !== 'none',
    ...(batching === undefined ? {} : { batching }),
    ...(logger === undefined ? {} : { logger }),
  });
  const meter = new LoadMeter(performance.now());
  return {
    model,
    meter,
    // Clients of a server elsewhere take no cores here.
    scaler: new VersionScaler(
      pool,
      meter,
      remote === undefined ? availableParallelism() : unbounded,
      signals,
    ),
    settingsKey: settingsKey(settings),
    pool,
    cache: settings.cache && new ResultCache(settings.cache),
    check: compileSignature(signature),
    rows: compilePredictionRows(signature),
    answers: compileAnswerChecks(signature, settings.answers, baseline),
  };
}
