import type { Scope } from '../../contracts/scope.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import { baselineFromRecord } from '../baselines/stored-baseline.ts';
import type { EndpointMetrics } from '../metrics/metrics.ts';
import { readWindows } from '../windows/counted-windows.ts';
import type { DailyFigure } from './summary-file.ts';

const dayMs = 86_400_000;

/** The figures of a time, day by day: how a deployment answered, and what its versions met. */
export async function dailyFigures(
  scope: Pick<Scope, 'series' | 'workspace' | 'metadata'>,
  metrics: Pick<EndpointMetrics, 'metrics'>,
  deploymentId: string,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<readonly DailyFigure[]> {
  const figures: DailyFigure[] = [];
  for (const { name, points } of await metrics.metrics(deploymentId, {
    windowMs: dayMs,
    from,
    to,
  })) {
    for (const { at, count, value } of points) {
      if (value !== undefined) figures.push({ at, name, count, value });
    }
  }
  const where = columnIs('deploymentId', deploymentId);
  for await (const record of everyRecord(scope, 'baseline', { where, limit: 10 })) {
    const stored = baselineFromRecord(record);
    for (let at = from; at < to; at += dayMs) {
      const counts = await readWindows(scope, stored, { from: at, to: at + dayMs });
      if (counts === undefined) continue;
      for (const [i, { counts: bins, missing, moments }] of counts.features.entries()) {
        const feature = stored.baseline.features[i]?.feature;
        if (feature === undefined) continue;
        const entries = bins.reduce((sum, each) => sum + each, 0) + missing;
        const of = { at, versionId: stored.versionId, feature, count: counts.requests };
        figures.push({ ...of, name: 'entries', value: entries });
        figures.push({ ...of, name: 'missing', value: missing });
        if (moments === undefined || moments.count === 0) continue;
        figures.push({ ...of, name: 'mean', value: moments.mean });
        const variance = moments.count < 2 ? 0 : moments.squares / (moments.count - 1);
        figures.push({ ...of, name: 'deviation', value: Math.sqrt(variance) });
      }
    }
  }
  return figures.toSorted((a, b) => a.at - b.at);
}
