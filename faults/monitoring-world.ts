import { openPlatform, type Platform, type PredictionRow } from '../packages/core/src/index.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import { silentLogger } from '../packages/store-pg/test/silent-logger.ts';

/** Where a platform lies. */
export interface MonitoringPlace {
  readonly dir: string;
  readonly url?: string;
  readonly schema?: string;
}

const [second, minute, day] = [1000, 60_000, 86_400_000];
/** When the first prediction was made; alert rules are evaluated from the fourth day on. */
const begin = Date.parse('2026-01-10');
const watchedFrom = begin + 3 * day;
const watched = ['first', 'second'] as const;

/** What is done when, oldest first. */
export const turns: readonly { readonly at: number; readonly does: 'alerting' | 'ageing' }[] = [
  ...Array.from({ length: 44 }, (_, i) => ({
    ...{ at: watchedFrom + 8 * second + i * 15 * second, does: 'alerting' as const },
  })),
  ...[6, 60, 500].map((days) => ({ at: begin + days * day, does: 'ageing' as const })),
];

/** The stores of a place, beside its directory. */
export function backendsOf({ url, schema }: MonitoringPlace) {
  if (url === undefined) return {};
  const backend = pgBackend({ url, ...(schema === undefined ? {} : { schema }) });
  return { metadata: backend, series: backend };
}

/** Two deployments with all predictions of the timeline: one fails more and more for some minutes. */
export async function fillMonitoring(place: MonitoringPlace): Promise<void> {
  await using platform = await openIn(place, begin);
  const { monitoring, registry, deployments } = platform;
  const { id: versionId } = await registry.register({
    ...{ model: 'm', format: 'JS', from: { files: { 'model.mjs': Buffer.from('one') } } },
    signature: {
      inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 1], columns: ['x'] }],
      outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
    },
  });
  for (const name of watched) {
    const { id } = await deployments.create({ name, versionId, environment: 'PRODUCTION' });
    const retention = { hotDays: 2, warmDays: 30, coldDays: 365 };
    await monitoring.setPredictionSettings(id, { retention });
    for (const row of rowsOf(id, versionId, name === 'first')) monitoring.predictions.record(row);
    await monitoring.predictions.flush();
  }
  await monitoring.alertRules.put({
    ...{ name: 'errors', figure: 'error_rate', kind: 'ERRORS', forMs: 15 * second },
    ...{ above: { WARNING: 0.01, CRITICAL: 0.05 }, clear: { WARNING: 0.005, CRITICAL: 0.03 } },
  });
  await monitoring.alertRoutes.put({
    ...{ name: 'default', notifyWithinMs: 30 * second },
    ...{ updateEveryMs: minute, remindEveryMs: 3 * minute },
  });
}

function rowsOf(deploymentId: string, versionId: string, fails: boolean): PredictionRow[] {
  const times = [
    ...Array.from(
      { length: 300 },
      (_, i) => begin + Math.floor(i / 100) * day + (i % 100) * minute,
    ),
    ...Array.from({ length: 1200 }, (_, i) => watchedFrom - minute + i * 600),
  ];
  return times.map((at, i): PredictionRow => {
    const minutes = (at - watchedFrom) / minute;
    const every = minutes >= 5 || !fails ? 0 : minutes >= 3 ? 10 : minutes >= 1 ? 33 : 0;
    return {
      ...{ deploymentId, versionId, requestId: `r${i}`, role: 'primary', at, latencyMs: 5 },
      ...{ features: { x: i }, prediction: 'a' },
      ...(every > 0 && i % every === 0 ? { error: 'refused' } : {}),
    };
  });
}

/** What the timeline has led to: what was told of alerts in its order, and what is left of predictions. */
export async function readMonitoring(
  place: MonitoringPlace,
): Promise<{ readonly told: readonly unknown[]; readonly left: readonly unknown[] }> {
  await using platform = await openIn(place, turns.at(-1)?.at ?? 0);
  const told: unknown[] = [];
  const types = ['alert.triggered', 'alert.severity_changed', 'alert.resolved', 'alert.notified'];
  for await (const { type, at, payload } of platform.events.each({ types })) {
    const { rule, severity, reason, state, deployment, sequence } = payload;
    told.push([type, at, deployment, rule, severity, reason, state, sequence]);
  }
  const left: unknown[] = [];
  for (const name of watched) {
    const { id } = await platform.deployments.get(name);
    const days = { from: begin, to: begin + 30 * day, windowMs: day };
    left.push({
      rows: await platform.monitoring.listPredictions(id, { from: 0, to: begin + 600 * day }),
      days: (await platform.monitoring.metrics(id, days)).map(({ points }) => points.length),
      archives: (await platform.monitoring.predictionArchives(id)).map(
        ({ from, to, figures, sha256 }) => [from, to, figures, sha256 === undefined],
      ),
    });
  }
  return { told, left };
}

function openIn(place: MonitoringPlace, now: number): Promise<Platform> {
  const clock = { now: () => now };
  return openPlatform({ dir: place.dir, clock, logger: silentLogger, ...backendsOf(place) });
}
