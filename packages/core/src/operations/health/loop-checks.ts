import type { HealthCheck } from '../../contracts/caretaker.ts';
import type { LoopReport } from '../loop-runner.ts';
import { schedules } from './check-schedules.ts';

const lateMs = 120_000;

/** Whether the background loops of this process come round. */
export function loopCheck(report: () => readonly LoopReport[]): HealthCheck {
  return {
    ...schedules.shallow,
    name: 'loops',
    component: 'process',
    kind: 'liveness',
    critical: false,
    async run() {
      const now = Date.now();
      const loops = report();
      const problems: string[] = [];
      for (const loop of loops) {
        const late = loop.lateMs(now);
        if (late > lateMs) {
          problems.push(`${loop.name} has not come round for ${Math.round(late / 1000)} s`);
        } else if (loop.failed > 0 && loop.failed === loop.rounds) {
          problems.push(`${loop.name} has failed in all of its ${loop.rounds} rounds`);
        } else if (now - (loop.lastSuccessAt ?? now) > lateMs && loop.failed > 0) {
          const seconds = Math.round((now - (loop.lastSuccessAt ?? now)) / 1000);
          problems.push(`${loop.name} has failed for ${seconds} s`);
        }
      }
      const details = { loops: loops.length };
      if (problems.length === 0) {
        const message = loops.length === 0 ? 'No loop runs in this process.' : 'All loops run.';
        return { status: 'HEALTHY', message, details };
      }
      return { status: 'DEGRADED', message: `${problems.join('; ')}.`, details };
    },
  };
}
