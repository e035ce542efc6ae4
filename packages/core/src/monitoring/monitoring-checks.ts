import type { HealthCheck, Recovery } from '../contracts/caretaker.ts';
import type { PredictionSink } from '../contracts/prediction-sink.ts';
import type { Scope } from '../contracts/scope.ts';
import { asJson, type JsonObject } from '../json.ts';
import { everyRecord } from '../operations/every-record.ts';
import { schedules } from '../operations/health/check-schedules.ts';
import { labelStream } from './performance/labels.ts';
import { judgeRule, type MonitorRule, replayRule } from './rule.ts';

const maxPending = 50_000;
const lagMs = 2 * 3_600_000;

/** Whether the predictions of this process reach the store. */
export function predictionLogCheck(
  sinks: () => readonly Pick<PredictionSink, 'health'>[],
): HealthCheck {
  let droppedBefore = 0;
  let lostBefore = 0;
  return {
    ...schedules.shallow,
    ...{ component: 'monitoring', critical: false, kind: 'readiness' },
    name: 'prediction log',
    async run() {
      const all = sinks().map((sink) => sink.health());
      const pending = all.reduce((sum, each) => sum + each.pending, 0);
      const dropped = all.reduce((sum, each) => sum + each.dropped, 0);
      const lost = Math.max(0, ...all.map((each) => each.lostBefore ?? 0));
      const lastError = all.find((each) => each.lastError !== undefined)?.lastError;
      const losses = all.flatMap((each) => each.losses ?? []).slice(0, 20);
      const details = asJson({ pending, dropped, lost, losses }) as JsonObject;
      const problems = [
        ...(pending > maxPending ? [`${pending} predictions wait`] : []),
        ...(dropped > droppedBefore ? [`${dropped - droppedBefore} predictions were dropped`] : []),
        ...(lost > lostBefore
          ? [`${lost - lostBefore} predictions went with killed processes`]
          : []),
        ...(lastError === undefined ? [] : [`the store says: ${lastError}`]),
      ];
      [droppedBefore, lostBefore] = [dropped, lost];
      if (problems.length === 0) {
        return { status: 'HEALTHY', message: 'Predictions are stored.', details };
      }
      return { status: 'DEGRADED', message: `${problems.join('; ')}.`, details };
    },
  };
}

const known: MonitorRule = {
  ...{ name: 'known', rule: 'accuracy', severity: 'WARNING' },
  ...{ alpha: 0.01, tolerance: 0.02, minimumTrials: 100 },
};

/** Whether the detector of change says of counts with a known answer what it must. */
export function detectorCheck(replay: typeof replayRule = replayRule): HealthCheck {
  const saysChanged = (right: number): boolean => {
    const intervals = [1, 2, 3, 4].map(() => ({ right, total: 250 }));
    return judgeRule(known, replay(known, { right: 9_000, total: 10_000 }, intervals)).changed;
  };
  return {
    ...schedules.performance,
    ...{ component: 'monitoring', critical: false, kind: 'deep' },
    failureThreshold: 1,
    name: 'drift algorithm',
    async run() {
      const [fallen, steady] = [saysChanged(175), saysChanged(225)];
      if (fallen && !steady) {
        return { status: 'HEALTHY', message: 'It sees a fall from 90 to 70 %, and none at 90 %.' };
      }
      const message = `Of 1,000 labels with 70 % right it ${fallen ? 'sees' : 'misses'} the fall from 90 %; at 90 % it ${steady ? 'sees one' : 'sees none'}.`;
      return { status: 'UNHEALTHY', message };
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
      const late = await lateMonitors(scope, signal);
      const details = { late: late.length };
      if (late.length === 0) {
        const message = 'Monitors have counted the labels there are.';
        return { status: 'HEALTHY', message, details };
      }
      const names = late.slice(0, 10).map(({ name }) => name);
      const message = `Labels have waited for two hours that monitors have not counted: ${names.join(', ')}.`;
      return { status: 'DEGRADED', message, details };
    },
  };
}

/** Evaluates the monitors that are late. */
export function evaluateMonitors(
  scope: Scope,
  evaluate: (deploymentId: string, options: { readonly at: number }) => Promise<unknown>,
): Recovery {
  return {
    name: 'evaluate monitors',
    priority: 50,
    canHandle: ({ check }) => check === 'drift freshness',
    async run(signal) {
      const late = await lateMonitors(scope, signal);
      for (const { id } of late) {
        signal.throwIfAborted();
        await evaluate(id, { at: scope.clock.now() });
      }
      const left = await lateMonitors(scope, signal);
      const message = `${late.length - left.length} of ${late.length} monitors were evaluated.`;
      return { outcome: left.length === 0 ? 'SUCCESS' : 'PARTIAL', message };
    },
  };
}

/** Monitors whose labels have waited for long. */
async function lateMonitors(
  scope: Scope,
  signal: AbortSignal,
): Promise<readonly { readonly id: string; readonly name: string }[]> {
  const { series, workspace } = scope;
  const to = scope.clock.now() - lagMs;
  const late = [];
  for await (const { id, columns } of everyRecord(scope, 'monitor', { signal })) {
    const from = (columns['evaluatedAt'] as number) + 1;
    if (from >= to) continue;
    for await (const batch of series.rows(labelStream(workspace, id), { from, to })) {
      if (batch.at.length === 0) continue;
      late.push({ id, name: String(columns['deploymentName']) });
      break;
    }
  }
  return late;
}
