import type { JsonObject } from '../json.ts';

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

/** What a room hands to operations: checks, recoveries, retention, reconciliation. */
export interface Caretaker {
  readonly component: string;
  readonly checks?: readonly HealthCheck[];
  readonly recoveries?: readonly Recovery[];
  /** Removes what retention no longer keeps; bounded work per call. */
  retain?(signal: AbortSignal): Promise<{ readonly removed: number; readonly more: boolean }>;
  reconcile?(options: {
    readonly mend: boolean;
    readonly signal: AbortSignal;
  }): Promise<readonly Finding[]>;
}
