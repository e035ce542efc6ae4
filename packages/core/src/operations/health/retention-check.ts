import type { HealthCheck } from '../../contracts/caretaker.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { RetentionTimes } from '../../events/retention.ts';
import { schedules } from './check-schedules.ts';

/** Retention makes one archive of many events, and so may be a day late. */
const lateMs = 2 * 86_400_000;

/** Whether events leave the log when their time is over. It looks at the oldest ones. */
export function retentionCheck(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'clock'>,
  times: Pick<RetentionTimes, 'keepMs'>,
): HealthCheck {
  return {
    ...schedules.performance,
    ...{ component: 'events', critical: false, kind: 'deep', shared: true },
    failureThreshold: 1,
    name: 'retention',
    async run() {
      const { metadata, workspace, clock } = scope;
      const { events } = await metadata.readEvents({ workspace, limit: 1000 });
      const now = clock.now();
      const overdue = events.filter(({ type, at }) => at + times.keepMs(type) + lateMs < now);
      const details = { overdue: overdue.length };
      const [first] = overdue;
      if (first === undefined) {
        return { status: 'HEALTHY', message: 'Events leave the log in time.', details };
      }
      const since = new Date(first.at + times.keepMs(first.type)).toISOString();
      const message = `Among the oldest events ${overdue.length} should have been archived, such as ${first.id} (${first.type}) since ${since}: see whether platform.start() was called, and for which subscription they wait.`;
      return { status: 'DEGRADED', message, details };
    },
  };
}
