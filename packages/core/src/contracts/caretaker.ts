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

/** One thing that can be checked. */
export interface HealthCheck {
  readonly name: string;
  readonly component: string;
  readonly kind: 'liveness' | 'readiness' | 'deep' | 'performance';
  /** Whether its failure makes the whole UNHEALTHY. */
  readonly critical: boolean;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  run(signal: AbortSignal): Promise<HealthResult>;
}

/** Something that can mend a known fault by itself. */
export interface Recovery {
  readonly name: string;
  readonly priority: number;
  canHandle(fault: HealthResult & { readonly check: string }): boolean;
  run(signal: AbortSignal): Promise<{
    readonly outcome: 'SUCCESS' | 'PARTIAL' | 'FAILED' | 'MANUAL_REQUIRED';
    readonly message: string;
  }>;
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
  readonly contents?: NamedContents;
  reconcile?(options: {
    readonly mend: boolean;
    readonly signal: AbortSignal;
  }): Promise<readonly Finding[]>;
}
