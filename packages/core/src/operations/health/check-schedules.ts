import type { HealthCheck } from '../../contracts/caretaker.ts';

/** When a check runs, and how often it must fail before it counts. */
export type Schedule = Pick<HealthCheck, 'intervalMs' | 'timeoutMs' | 'failureThreshold'>;

/** The schedules that checks have where they need no other. */
export const schedules: {
  readonly liveness: Schedule;
  readonly readiness: Schedule;
  readonly shallow: Schedule;
  readonly resources: Schedule;
  readonly deep: Schedule;
  readonly external: Schedule;
  readonly performance: Schedule;
} = {
  liveness: { intervalMs: 10_000, timeoutMs: 5_000, failureThreshold: 3 },
  readiness: { intervalMs: 5_000, timeoutMs: 4_000, failureThreshold: 1 },
  shallow: { intervalMs: 30_000, timeoutMs: 10_000, failureThreshold: 1 },
  resources: { intervalMs: 60_000, timeoutMs: 10_000, failureThreshold: 2 },
  deep: { intervalMs: 60_000, timeoutMs: 30_000, failureThreshold: 5 },
  external: { intervalMs: 120_000, timeoutMs: 30_000, failureThreshold: 2 },
  performance: { intervalMs: 300_000, timeoutMs: 30_000, failureThreshold: 3 },
};
