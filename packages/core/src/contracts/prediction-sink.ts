import type { KeelsonError } from '../errors.ts';
import type { Json, JsonObject } from '../json.ts';

/** One answered (or failed) request, as serving hands it to monitoring. */
export interface PredictionRow {
  readonly deploymentId: string;
  readonly versionId: string;
  /** The caller's id of the request; rows and labels are joined by it. */
  readonly requestId: string;
  /** Whether the caller saw this answer, or a shadow gave it. */
  readonly role: 'primary' | 'shadow';
  /** The sticky key by which the request was dealt out, such as a user's id. */
  readonly key?: string;
  /** Whose request it was; stored as a pseudonym, and what `monitoring.eraseUser` goes by. */
  readonly userId?: string;
  /** Stored as a pseudonym too. */
  readonly sessionId?: string;
  /** Where it was answered. */
  readonly region?: string;
  /** Which shape of features this is; another one where columns come, go or change their type. */
  readonly featureSchemaVersion?: string;
  /** When the request was made, epoch ms: the caller's time where it gives one, else the server's. */
  readonly at: number;
  /** Input columns of one row. */
  readonly features: JsonObject;
  /** The predicted class or value. */
  readonly prediction: Json;
  readonly probabilities?: Readonly<Record<string, number>>;
  /** Of the prediction, 0 to 1, where it is told apart from the probabilities. */
  readonly confidence?: number;
  readonly latencyMs: number;
  readonly queueMs?: number;
  readonly inferenceMs?: number;
  readonly replica?: string;
  /** The part of the traffic that it belongs to, such as a country: figures are kept of each, and strata of the sample may be made of it. */
  readonly segment?: string;
  /** The arm of an experiment that it was dealt to. */
  readonly experimentArm?: string;
  readonly error?: string;
  readonly correlationId?: string;
  /** What answer checks have found of this row, such as `low_confidence` or `anomalous_input`. */
  readonly flags?: readonly string[];
  /** Kept whatever the sample is, and dropped after all others where not everything can be kept. */
  readonly critical?: boolean;
}

/** Predictions that were lost: of one deployment and stratum of the sample. */
export interface PredictionLoss {
  readonly deploymentId: string;
  /** `critical`, `error`, the name of a stratum (`country=DE`), or `all` where there are none. */
  readonly stratum: string;
  readonly rows: number;
}

/** How a {@link PredictionSink} is. */
export interface PredictionSinkHealth {
  /** Rows that are not durable yet. */
  readonly pending: number;
  /** Rows that were lost since it was opened. */
  readonly dropped: number;
  /** The same by deployment and stratum; at most 200 of them, the rest as `other`. */
  readonly losses?: readonly PredictionLoss[];
  /** Rows that were stored, those left out by sampling, and values that no store can keep. */
  readonly stored?: number;
  readonly sampledOut?: number;
  readonly unstorable?: number;
  /** Rows, at least, that processes lost which were killed, as it was found when this one was opened. */
  readonly lostBefore?: number;
  readonly lastError?: string;
}

/** A request that was refused because of what it was (a 4xx answer), before any version was asked. */
export interface RefusedRequest {
  readonly deploymentId: string;
  /** The version whose signature it did not fit, where it came so far. */
  readonly versionId?: string;
  /** Epoch ms. */
  readonly at: number;
}

/**
 * Takes predictions off the request path. `record` returns at once and never throws; its memory is
 * bounded, and what it must drop is counted.
 */
export interface PredictionSink {
  record(row: PredictionRow): void;
  /** Counts a request that was refused; returns at once and never throws. */
  refused?(request: RefusedRequest): void;
  /** Resolves when all that was recorded before is durable; rejects with the store's error. */
  flush(options?: { readonly timeoutMs?: number }): Promise<void>;
  /** EXHAUSTED where a quota lets nothing more be answered for now; asked before each request. */
  full?(): KeelsonError | undefined;
  health(): PredictionSinkHealth;
}
