import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { decodeJson } from '../../json.ts';
import { type SlotCounts, slotCounting, slotMs } from '../metrics/metric-counts.ts';
import { type EndpointMetricName, metricNames, unitOf } from '../metrics/metric-figures.ts';
import type { EndpointMetrics, MetricPoint } from '../metrics/metrics.ts';
import { readLabelled } from '../performance/labels.ts';
import { type Accuracy, performanceOf } from '../performance/performance.ts';
import { predictionStream } from '../predictions/prediction-stream.ts';
import type { BaselineDrift, BaselineDriftOptions } from '../windows/baseline-drift.ts';
import type { Figure, FigureQuery, FigureSource } from './figure-source.ts';

const [minuteMs, hourMs, dayMs] = [60_000, 3_600_000, 86_400_000];
const hourly = 3_600_000;

/** Figures of requests: latency, throughput, errors and refused requests, counted of every prediction. */
export function requestFigures(
  parts: () => Pick<EndpointMetrics, 'metrics' | 'recentMetrics'>,
): FigureSource {
  const figures = Object.fromEntries(
    metricNames.map((name) => [
      name,
      { meaning: 'As monitoring.metrics counts it.', unit: unitOf(name) },
    ]),
  );
  return {
    figures,
    async read({ deploymentId, names: asked, from, to }) {
      const names = asked as readonly EndpointMetricName[];
      const windowMs = Math.max(slotMs, Math.round((to - from) / slotMs) * slotMs);
      if (windowMs <= hourly) {
        // The ten seconds that end with `to`, not those that begin with it.
        const found = await parts().recentMetrics(deploymentId, { names, windowMs, at: to - 1 });
        return found.map(({ name, points }) => ({ name, ...readingOf(name, points[0]) }));
      }
      return await Promise.all(
        names.map((name) => longFigure(parts, deploymentId, name, from, to)),
      );
    },
  };
}

/** Of more than an hour: of the one window that fits, which ends before now. */
async function longFigure(
  parts: () => Pick<EndpointMetrics, 'metrics'>,
  deploymentId: string,
  name: EndpointMetricName,
  from: number,
  to: number,
): Promise<Figure> {
  const windowMs = [dayMs, 7 * dayMs].find((each) => each >= to - from) ?? 7 * dayMs;
  const found = await parts().metrics(deploymentId, { names: [name], windowMs, from: to - 1, to });
  return { name, ...readingOf(name, found[0]?.points.at(-1)) };
}

function readingOf(
  name: EndpointMetricName,
  point: MetricPoint | undefined,
): Pick<Figure, 'count' | 'value' | 'noise'> {
  const { count = 0, value } = point ?? {};
  // Numbers of requests are known where there are none.
  if (value === undefined) return { count };
  return {
    count: unitOf(name) === 'share' ? count : Math.max(1, count),
    value,
    ...(unitOf(name) === 'share' ? noise(value, count) : {}),
  };
}

function noise(share: number, count: number): Pick<Figure, 'noise'> {
  return { noise: Math.sqrt((share * (1 - share)) / count) };
}

/** How long there has been no prediction, where there has been one in the day before. */
export function silenceFigures(scope: Pick<Scope, 'series' | 'workspace'>): FigureSource {
  async function lastAt({ deploymentId, to }: FigureQuery): Promise<number | undefined> {
    const stream = predictionStream(scope.workspace, deploymentId);
    let end = to;
    for (const ms of [minuteMs, 20 * minuteMs, 2 * hourMs, 8 * hourMs, dayMs]) {
      // Of all predictions, whatever of them is kept as rows.
      const from = Math.floor((to - ms) / minuteMs) * minuteMs;
      const range = { windowMs: minuteMs, from, to: end };
      let last: number | undefined;
      for (const { at, data } of await scope.series.rollups(stream, slotCounting.name, range)) {
        for (const [slot, { requests }] of Object.entries(decodeJson(data) as SlotCounts)) {
          const began = at + Number(slot) * slotMs;
          if (requests === 0 || began >= to) continue;
          last = Math.max(last ?? 0, Math.min(to, began + slotMs));
        }
      }
      if (last !== undefined) return last;
      end = to - ms;
    }
    return undefined;
  }
  return {
    figures: {
      silent_ms: { meaning: 'Time since the last prediction, of a day at most.', unit: 'ms' },
    },
    async read(query) {
      const last = await lastAt(query);
      const name = 'silent_ms';
      return [last === undefined ? { name, count: 0 } : { name, count: 1, value: query.to - last }];
    },
  };
}

/** Compares what was predicted with the baseline in force; NOT_FOUND where there is none. */
export type ReadDrift = (
  deploymentId: string,
  options: BaselineDriftOptions & { readonly from: number; readonly to: number },
) => Promise<{ readonly versionId: string; readonly drift?: BaselineDrift }>;

/** How far features and answers are from their baseline. */
export function driftFigures(drift: ReadDrift): FigureSource {
  const methods = {
    feature_psi: 'psi',
    prediction_kl: 'kullback-leibler',
    prediction_psi: 'psi',
  } as const;
  return {
    figures: {
      feature_psi: { meaning: 'PSI of each feature against the baseline in force.', unit: 'score' },
      prediction_kl: { meaning: 'Kullback–Leibler divergence of answers from it.', unit: 'score' },
      prediction_psi: { meaning: 'PSI of answers against it.', unit: 'score' },
    },
    async read({ deploymentId, names, from, to }) {
      const minutes = {
        from: Math.floor(from / minuteMs) * minuteMs,
        to: Math.ceil(to / minuteMs) * minuteMs,
      };
      const found: Figure[] = [];
      for (const name of names as readonly (keyof typeof methods)[]) {
        const answer = await drift(deploymentId, { ...minutes, method: methods[name] }).catch(
          noBaseline,
        );
        if (answer?.drift === undefined) continue;
        const { versionId } = answer;
        const { features, prediction } = answer.drift;
        const all =
          name === 'feature_psi' ? features.features : prediction === undefined ? [] : [prediction];
        found.push(
          ...all.map(({ feature, result }) => ({
            ...{ name, versionId, count: result.currentCount },
            labels: { feature },
            ...(result.score === null ? {} : { value: result.score }),
            ...(result.chanceThreshold === null ? {} : { chance: result.chanceThreshold }),
          })),
        );
      }
      return found;
    },
  };
}

function noBaseline(error: unknown): undefined {
  if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
}

/** How right answers are whose labels are known, and how much less than in the four weeks before. */
export function accuracyFigures(
  scope: Pick<Scope, 'series' | 'workspace'>,
  maxDelayMs: number,
): FigureSource {
  async function served(
    deploymentId: string,
    from: number,
    to: number,
    known: number,
  ): Promise<Accuracy | undefined> {
    const labels = { from: from - 1, to: Math.min(known, to + maxDelayMs) };
    return performanceOf(await readLabelled(scope, deploymentId, labels, maxDelayMs), { from, to })
      .served;
  }
  return {
    figures: {
      accuracy: {
        meaning: 'The share of right answers, of those whose label is known.',
        unit: 'share',
      },
      accuracy_drop: {
        meaning: 'By what share of it that is less than in the four weeks before.',
        unit: 'share',
      },
    },
    async read({ deploymentId, names, from, to }) {
      const now = await served(deploymentId, from, to, to);
      const before = names.includes('accuracy_drop')
        ? await served(deploymentId, from - 28 * dayMs, from, to)
        : undefined;
      return names.map((name) => accuracyFigure(name, now, before));
    },
  };
}

const minimumBefore = 100;

function accuracyFigure(
  name: string,
  now: Accuracy | undefined,
  before: Accuracy | undefined,
): Figure {
  if (now === undefined) return { name, count: 0 };
  const count = now.total;
  if (name === 'accuracy')
    return { name, count, value: now.accuracy, ...noise(now.accuracy, count) };
  if (before === undefined || before.total < minimumBefore || before.accuracy === 0) {
    return { name, count };
  }
  const { accuracy: was, total } = before;
  // One-sided, 5 %: what as many labels may bring by chance.
  const chance = (1.645 * Math.sqrt(was * (1 - was) * (1 / total + 1 / count))) / was;
  return { name, count, value: (was - now.accuracy) / was, chance };
}
