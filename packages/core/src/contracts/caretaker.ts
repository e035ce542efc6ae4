import type { JsonObject } from '../json.ts';
import type { StoredRecord } from './record.ts';

/** How well something is. */
export type HealthStatus = 'HEALTHY' | 'DEGRADED' | 'UNHEALTHY' | 'UNKNOWN';

/** The outcome of one check. */
export interface HealthResult {
  readonly status: HealthStatus;
  readonly message: string;
  readonly details?: JsonObject;
}

/** The five parts whose availability is measured. */
export type ServicePart = 'tracking' | 'registry' | 'pipelines' | 'serving' | 'monitoring';

/** One thing that can be checked. */
export interface HealthCheck {
  /** Unique among the checks of a platform. */
  readonly name: string;
  readonly component: string;
  readonly kind: 'liveness' | 'readiness' | 'deep' | 'performance';
  /** Whether its failure makes the whole UNHEALTHY. */
  readonly critical: boolean;
  readonly intervalMs: number;
  /** A check that has not answered by then has failed. */
  readonly timeoutMs: number;
  /** So many failures in a row are a fault; 1 when left out. */
  readonly failureThreshold?: number;
  /** One process of the platform runs it for all of them; each process for itself when left out. */
  readonly shared?: boolean;
  /** The part that it uses from end to end: counted as the availability of that part. */
  readonly probes?: ServicePart;
  /** Rejecting is UNHEALTHY, with what was said. */
  run(signal: AbortSignal): Promise<HealthResult>;
}

/** A check that has failed as often as its threshold says. */
export interface Fault extends HealthResult {
  readonly check: string;
  readonly component: string;
  /** How long it has lasted. */
  readonly lastedMs: number;
}

/** What an attempt to mend something came to. */
export type RecoveryOutcome = 'SUCCESS' | 'PARTIAL' | 'FAILED' | 'MANUAL_REQUIRED';

/** What a recovery says that it has done. */
export interface RecoveryResult {
  readonly outcome: RecoveryOutcome;
  readonly message: string;
  /** What a person should do, in order; for MANUAL_REQUIRED. */
  readonly steps?: readonly string[];
}

/** Something that can mend a known fault by itself. It may be run again, and by two processes at once. */
export interface Recovery {
  readonly name: string;
  /** Of several that can handle a fault, the highest is tried first. */
  readonly priority: number;
  canHandle(fault: Fault): boolean;
  /** Aborted after 300 s; rejecting is FAILED, with what was said. */
  run(signal: AbortSignal, fault: Fault): Promise<RecoveryResult>;
}

/** A difference between what should be and what is, found by reconciliation. */
export interface Finding {
  readonly component: string;
  readonly subject: string;
  readonly problem: string;
  readonly mended: boolean;
}

/** Removes records that were deleted before a time. Killed anywhere it can be run again. */
export type Purge = (options: {
  readonly deletedBefore: number;
  /** Names what would go, and touches nothing. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  /** Told of each record that went (or would go), such as `run:0198…`. */
  onRemoved(subject: string): void;
}) => Promise<void>;

/** Which digests of content records refer to. */
export interface References {
  /** Those of the digests that are referred to; all that were when it was opened are answered. */
  among(digests: readonly string[]): Promise<ReadonlySet<string>>;
}

/** Opens {@link References}; a room may look through its records here, once for many questions. */
export type OpenReferences = (signal: AbortSignal) => Promise<References>;

/** Which contents the records of a kind name: for whoever looks whether all of them are there. */
export interface NamedContents {
  readonly kind: string;
  digests(record: Pick<StoredRecord, 'columns' | 'body'>): readonly string[];
}

/** What a room hands to operations: checks, recoveries, retention, reconciliation. */
export interface Caretaker {
  readonly component: string;
  readonly checks?: readonly HealthCheck[];
  readonly recoveries?: readonly Recovery[];
  /** What retention no longer keeps goes, with all that is theirs; the dependent parts first. */
  readonly purge?: Purge;
  /** What the records of the room refer to, as of now. */
  readonly references?: OpenReferences;
  /** Of each kind whose records name any. */
  readonly contents?: NamedContents | readonly NamedContents[];
  reconcile?(options: {
    readonly mend: boolean;
    readonly signal: AbortSignal;
  }): Promise<readonly Finding[]>;
}
