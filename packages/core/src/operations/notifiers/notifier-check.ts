import type { HealthCheck } from '../../contracts/caretaker.ts';
import type { Scope } from '../../contracts/scope.ts';
import { everyRecord } from '../every-record.ts';
import { schedules } from '../health/check-schedules.ts';

const failuresOfTheDead = 2;

/** Whether the receivers of notifications take them. */
export function notifierCheck(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  names: readonly string[],
): HealthCheck {
  return {
    ...schedules.external,
    failureThreshold: 1,
    name: 'notifiers',
    component: 'notifiers',
    kind: 'readiness',
    critical: false,
    shared: true,
    async run(signal) {
      const away: string[] = [];
      for await (const { columns } of everyRecord(scope, 'notifier', { signal })) {
        const name = columns['name'] as string;
        if (!names.includes(name) || (columns['failures'] as number) < failuresOfTheDead) continue;
        const until = new Date(columns['dueAt'] as number).toISOString();
        away.push(`${name} failed ${columns['failures']} times in a row and rests until ${until}`);
      }
      const details = { notifiers: names.length, away: away.length };
      if (away.length === 0) {
        return { status: 'HEALTHY', message: 'Notifications are taken.', details };
      }
      return { status: 'DEGRADED', message: `${away.join('; ')}.`, details };
    },
  };
}
