import type { HealthCheck } from '../contracts/caretaker.ts';
import type { PredictionSink } from '../contracts/prediction-sink.ts';
import type { Scope } from '../contracts/scope.ts';
import { everyRecord } from '../operations/every-record.ts';
import { schedules } from '../operations/health/check-schedules.ts';
import { labelStream } from './labels.ts';

const maxPending = 50_000;
const lagMs = 2 * 3_600_000;

/** Whether the predictions of this process reach the store. */
export function predictionLogCheck(
  sinks: () => readonly Pick<PredictionSink, 'health'>[],
): HealthCheck {
  let droppedBefore = 0;
  return {
    ...schedules.shallow,
    ...{ component: 'monitoring', critical: false, kind: 'readiness' },
    name: 'prediction log',
    async run() {
      const all = sinks().map((sink) => sink.health());
      const pending = all.reduce((sum, each) => sum + each.pending, 0);
      const dropped = all.reduce((sum, each) => sum + each.dropped, 0);
      const lastError = all.find((each) => each.lastError !== undefined)?.lastError;
      const details = { pending, dropped };
      const problems = [
        ...(pending > maxPending ? [`${pending} predictions wait`] : []),
        ...(dropped > droppedBefore ? [`${dropped - droppedBefore} predictions were dropped`] : []),
        ...(lastError === undefined ? [] : [`the store says: ${lastError}`]),
      ];
      droppedBefore = dropped;
      if (problems.length === 0) {
        return { status: 'HEALTHY', message: 'Predictions are stored.', details };
      }
      return { status: 'DEGRADED', message: `${problems.join('; ')}.`, details };
    },
  };
}

/** Whether labels that came in are counted by the monitors. */
export function freshnessCheck(scope: Scope): HealthCheck {
  return {
    ...schedules.performance,
    ...{ component: 'monitoring', critical: false, kind: 'deep', shared: true },
    failureThreshold: 1,
    name: 'drift freshness',
    async run(signal) {
      const to = scope.clock.now() - lagMs;
      const late: string[] = [];
      let monitors = 0;
      for await (const { id, columns } of everyRecord(scope, 'monitor', { signal })) {
        monitors += 1;
        const from = (columns['evaluatedAt'] as number) + 1;
        if (from >= to) continue;
        for await (const batch of scope.series.rows(labelStream(scope.workspace, id), {
          from,
          to,
        })) {
          if (batch.at.length === 0) continue;
          late.push(String(columns['deploymentName']));
          break;
        }
      }
      const details = { monitors, late: late.length };
      if (late.length === 0) {
        return {
          status: 'HEALTHY',
          message: 'Monitors have counted the labels there are.',
          details,
        };
      }
      const message = `Labels have waited for two hours that monitors have not counted: ${late.slice(0, 10).join(', ')}.`;
      return { status: 'DEGRADED', message, details };
    },
  };
}
