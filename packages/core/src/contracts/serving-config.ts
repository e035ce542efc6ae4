import type { Json } from '../json.ts';

/** Where a version's model runs. */
export type Isolation =
  /** On the thread that answers HTTP: for models of well under a millisecond, without any protection. */
  | 'none'
  /** In worker threads: a model that throws or ends its thread is contained; one that hangs in native code is abandoned. */
  | 'thread'
  /** In child processes: a model that crashes, leaks or hangs is killed and replaced. */
  | 'process';

/** How requests share calls of the model. */
export interface BatchingConfig {
  /**
   * `adaptive`, the default: an idle replica takes what is there at once, a busy one takes together what has come
   * meanwhile, as many rows as the latency target allows. `fixed`: waits for `maxRows` or `maxDelayMs`. `off`: each
   * request is a call.
   */
  readonly mode: 'adaptive' | 'fixed' | 'off';
  /** Rows of a call at the most; 64. */
  readonly maxRows?: number;
  /** How long a request may wait for others while a replica is idle; 0. */
  readonly maxDelayMs?: number;
  /** Calls are kept so small that queue and model together take no longer; no such limit when left out. */
  readonly latencyTargetMs?: number;
}

/** Answers kept for equal inputs; there is no cache when a deployment declares none. */
export interface ResultCacheConfig {
  /** Of inputs and outputs together. */
  readonly maxBytes: number;
  /** For ever (until evicted) when left out. */
  readonly ttlMs?: number;
  /** Floating-point inputs that agree to so many decimals are equal; exactly equal when left out. */
  readonly decimals?: number;
}

/** What an input usually is; only what is said is looked at. */
export interface UsualInput {
  readonly min?: number;
  readonly max?: number;
  /** Texts (BYTES); any other one is unusual. */
  readonly values?: readonly string[];
  /** Whether NaN is usual, where `min` or `max` is said; false. */
  readonly missing?: boolean;
}

/** What is looked at in each answer before it goes out. What is found is always counted. */
export interface AnswerChecksConfig {
  /** Whether outputs that contradict the signature, or are not finite, fail the request; false. */
  readonly enforce?: boolean;
  /** The range that values of an output may have, by its name. */
  readonly ranges?: Readonly<Record<string, { readonly min?: number; readonly max?: number }>>;
  /** The least probability that the model may give its own answer, of a classifier. */
  readonly minimumConfidence?: number;
  /**
   * What a less confident answer is: marked in the answer (the default), refused, or given by the route's fallback
   * version instead (marked where there is none).
   */
  readonly below?: 'flag' | 'refuse' | 'fallback';
  /**
   * What inputs usually are, by the name of the column (or of the input where it is no table); unusual ones are marked
   * in the answer and in the prediction log. Goes before what the version itself brings in `keelson-baseline.json`.
   */
  readonly inputs?: Readonly<Record<string, UsualInput>>;
}

/** What runs a version, where its format does not say enough. */
export interface RuntimeConfig {
  /** Such as `javascript`, `onnx`, `tfjs`; or of a server: `v2`, `tensorflow-serving`, `torchserve`, `mlflow`. */
  readonly name: string;
  /** Where a server is, such as `http://127.0.0.1:8080`. */
  readonly endpoint?: string;
  /** What the model is called there, `{version}` standing for the version's number; the model's own name when left out. */
  readonly model?: string;
  /** Formats of the versions that it runs, such as `SKLEARN`; others, such as a fallback's, by what they are. All when left out. */
  readonly formats?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  /** What the runtime itself understands, such as execution providers. */
  readonly options?: Readonly<Record<string, Json>>;
}

/** How the versions of a deployment are run; what is left out is as the serving process has it. */
export interface ServingConfig {
  readonly runtime?: RuntimeConfig;
  readonly isolation?: Isolation;
  /** Of each version; with `scaling`, how many there are to begin with. */
  readonly replicas?: number;
  readonly batching?: BatchingConfig;
  readonly cache?: ResultCacheConfig;
  readonly answers?: AnswerChecksConfig;
  /** Requests that may wait for a replica of one version. */
  readonly maxQueue?: number;
  /** From a request's arrival until its answer. */
  readonly timeoutMs?: number;
}

/** When a deployment gets more replicas, and when fewer. */
export interface ScalingConfig {
  /** 0 scales to nothing while nobody asks; then `scaleToZeroAfterMs` is needed. */
  readonly min: number;
  readonly max: number;
  /** Requests in flight and waiting that a replica is meant to have; 2. */
  readonly targetOutstanding?: number;
  /** More replicas when the 95th percentile stays above it and waiting is a good part of that. */
  readonly latencyTargetMs?: number;
  /** Requests a second that a replica is meant to have. */
  readonly targetRequestsPerSecond?: number;
  /** Of all cores of the machine, 0 to 100. */
  readonly targetCpuPercent?: number;
  /** Of the GPU memory, as the serving process's `signals.gpuMemoryPercent` tells it, 0 to 100. */
  readonly targetGpuMemoryPercent?: number;
  /** Replicas kept warm beyond those needed; 0. */
  readonly spares?: number;
  /** How long without a request before the last replica goes. */
  readonly scaleToZeroAfterMs?: number;
  /** How long fewer replicas must be enough before some go; 300,000. */
  readonly downAfterMs?: number;
}
