import type { HealthCheck, HealthResult, HealthStatus } from '../../contracts/caretaker.ts';
import type { JsonObject } from '../../json.ts';

/** How a check stands. */
export interface CheckState {
  readonly name: string;
  readonly component: string;
  readonly kind: HealthCheck['kind'];
  readonly critical: boolean;
  /** What holds: the last result, or, while failures are fewer than the threshold, what held before. */
  readonly status: HealthStatus;
  readonly message: string;
  readonly details?: JsonObject;
  /** Failures in a row up to now. */
  readonly failures: number;
  /** Since when the status holds, in epoch ms; undefined before the first result. */
  readonly since: number | undefined;
  /** When the last result came, in epoch ms; undefined before the first. */
  readonly at: number | undefined;
  readonly durationMs: number;
}

/** What a run of a check came to. */
export interface CheckOutcome extends HealthResult {
  readonly at: number;
  readonly durationMs: number;
}

/** A result may be overdue for so long before nothing is known any more. */
const staleAfterMs = 300_000;

/** A check that has not run. */
export function untried(check: HealthCheck): CheckState {
  const { name, component, kind, critical } = check;
  const none = { failures: 0, since: undefined, at: undefined, durationMs: 0 };
  return {
    ...{ name, component, kind, critical },
    ...{ status: 'UNKNOWN', message: 'It has not run yet.', ...none },
  };
}

/** How a check stands after a run: a fault is one when it came as often in a row as the threshold says. */
export function judge(check: HealthCheck, before: CheckState, outcome: CheckOutcome): CheckState {
  const { failureThreshold = 1 } = check;
  const failures = outcome.status === 'HEALTHY' ? 0 : before.failures + 1;
  const holds = failures === 0 || failures >= failureThreshold;
  const status = holds ? outcome.status : before.status;
  const { message, details, at, durationMs } = outcome;
  const { name, component, kind, critical } = before;
  return {
    ...{ name, component, kind, critical, status, message, failures, at, durationMs },
    ...(details === undefined ? {} : { details }),
    since: status === before.status && before.since !== undefined ? before.since : at,
  };
}

/** The state as of now: what is overdue for too long is not known any more. */
export function asOf(state: CheckState, intervalMs: number, now: number): CheckState {
  if (state.at === undefined) return state;
  const lateMs = now - state.at - intervalMs;
  if (lateMs <= staleAfterMs) return state;
  const message = `Its last result (${state.status}) is ${Math.round((now - state.at) / 1000)} s old.`;
  return { ...state, status: 'UNKNOWN', message };
}

/**
 * The status of the whole: UNHEALTHY where a critical check is; UNKNOWN where one of those is, or there is
 * none; DEGRADED at any other fault. Checks that are no critical ones and have not run yet say nothing.
 */
export function overall(
  states: readonly Pick<CheckState, 'critical' | 'status' | 'at'>[],
): HealthStatus {
  const critical = states.filter((state) => state.critical);
  if (critical.some(({ status }) => status === 'UNHEALTHY')) return 'UNHEALTHY';
  const known = states.filter((state) => state.critical || state.at !== undefined);
  if (known.length === 0 || critical.some(({ status }) => status === 'UNKNOWN')) return 'UNKNOWN';
  return known.every(({ status }) => status === 'HEALTHY') ? 'HEALTHY' : 'DEGRADED';
}
