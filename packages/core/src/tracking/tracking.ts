import type { Heartbeats, MetricWriter } from '../contracts/metric-writer.ts';
import type { Scope } from '../contracts/scope.ts';
import type { PointColumns, SeriesBucket, SeriesSummary } from '../contracts/series-store.ts';
import { type Artifacts, createArtifacts } from './artifacts.ts';
import { createExperiments, type Experiments } from './experiments.ts';
import { renderRunPage } from './run-page.ts';
import { createRuns, type Runs } from './runs.ts';
import { createRunSearches, type RunSearches } from './search.ts';

/** Reads metrics. */
export interface Metrics {
  /** All points of one metric, columns of equal length, by step, then time, then arrival. */
  getMetricHistory(
    runId: string,
    key: string,
    range?: { readonly fromStep?: number; readonly toStep?: number },
  ): Promise<PointColumns>;
  /** The last value of each metric at exactly this step. */
  getMetricsAt(runId: string, step: number): Promise<Readonly<Record<string, number>>>;
  getMetricSummaries(runId: string): Promise<readonly SeriesSummary[]>;
  /** At most `buckets` buckets with exact extremes: what a chart draws. */
  downsampleMetric(
    runId: string,
    key: string,
    options: { readonly buckets: number; readonly fromStep?: number; readonly toStep?: number },
  ): Promise<readonly SeriesBucket[]>;
}

/** Shows a run to people. */
export interface RunPages {
  /** A self-contained HTML page: status, params, metric curves, figures, artifacts, environment. */
  runPage(runId: string): Promise<string>;
}

/** Experiments, runs, params, metrics and artifacts: all that tracking does. */
export interface Tracking extends Experiments, Runs, RunSearches, Artifacts, Metrics, RunPages {}

/** What tracking needs beside its scope. */
export interface TrackingParts {
  /** The process's metric writer, started when first asked for. */
  readonly writer: () => MetricWriter;
  readonly heartbeats: Heartbeats;
  /** 30,000 when left out. */
  readonly heartbeatTimeoutMs?: number;
}

/** Tracking, bound to a workspace and a principal. */
export function createTracking(scope: Scope, parts: TrackingParts): Tracking {
  const { series, workspace } = scope;
  const experiments = createExperiments(scope);
  const artifactLog = createArtifacts(scope, (message, fields) =>
    scope.logger.warn({ component: 'tracking', ...fields }, message),
  );
  const { log: _, ...artifacts } = artifactLog;
  const { read, ...runs } = createRuns(scope, {
    writer: parts.writer,
    heartbeats: parts.heartbeats,
    experiments,
    artifacts: artifactLog,
    heartbeatTimeoutMs: parts.heartbeatTimeoutMs ?? 30_000,
  });
  const searches = createRunSearches(scope, experiments, read);

  const metrics: Metrics = {
    getMetricHistory: (runId, key, range) => series.points({ workspace, owner: runId, key }, range),

    async getMetricsAt(runId, step) {
      const summaries = await series.summaries(workspace, runId);
      const at: [string, number][] = [];
      for (const { key } of summaries) {
        const range = { fromStep: step, toStep: step };
        const value = (await series.points({ workspace, owner: runId, key }, range)).values.at(-1);
        if (value !== undefined) at.push([key, value]);
      }
      return Object.fromEntries(at);
    },

    getMetricSummaries: (runId) => series.summaries(workspace, runId),
    downsampleMetric: (runId, key, options) =>
      series.downsample({ workspace, owner: runId, key }, options),
  };

  return {
    ...experiments,
    ...runs,
    ...searches,
    ...artifacts,
    ...metrics,
    runPage: (runId) => renderRunPage({ experiments, runs, searches, artifacts, metrics }, runId),
  };
}
