import { z } from 'zod';
import { assertList } from '../check-options.ts';
import type { Heartbeats, MetricWriter } from '../contracts/metric-writer.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { type ArtifactRemoval, createArtifactRemoval } from './artifact-removal.ts';
import { type Artifacts, createArtifacts } from './artifacts.ts';
import { type CompareOptions, createRunComparisons, type RunComparisons } from './compare-runs.ts';
import { renderComparisonPage } from './comparison-page.ts';
import { createDatasets, type Datasets } from './datasets.ts';
import { type EnvironmentOptions, environmentOption } from './environment.ts';
import { createExperimentSearches, type ExperimentSearches } from './experiment-search.ts';
import { createExperiments, type Experiments } from './experiments.ts';
import { createExperimentExports, type ExperimentExports } from './export-experiments.ts';
import { createExperimentImports, type ExperimentImports } from './import-experiments.ts';
import { createLoggedModels, type LoggedModels } from './logged-models.ts';
import { createMetricNameWatch, keysOfEarlierRuns } from './metric-name-watch.ts';
import { createMetricNames, type MetricNames } from './metric-names.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { optional } from './run.ts';
import { createRunEnding, type RunEnding } from './run-ending.ts';
import { createRunLogging } from './run-logging.ts';
import { renderRunPage } from './run-page.ts';
import { createRunRecords } from './run-records.ts';
import { createRunStarting } from './run-starting.ts';
import { createRuns, type Runs } from './runs.ts';
import { createRunsElsewhere, type RunsElsewhere } from './runs-elsewhere.ts';
import type { RunsInCommits } from './runs-in-commits.ts';
import { createRunSearches, type RunSearches } from './search.ts';
import type { SystemMetricsOption } from './system-metrics.ts';
import type { RunCare } from './tracking-checks.ts';
import { createTypedExperiments, type TypedExperiments } from './typed-experiment.ts';

/** Shows runs to people. */
export interface RunPages {
  /** A self-contained HTML page: status, params, metric curves, figures, artifacts, environment. */
  runPage(runId: string): Promise<string>;
  /** The like of several runs: curves laid over each other, figures, what differs. At most 50 runs. */
  comparisonPage(ids: readonly string[], options?: CompareOptions): Promise<string>;
}

/** Experiments, runs, params, metrics and artifacts: all that tracking does. */
export interface Tracking
  extends Experiments,
    ExperimentSearches,
    TypedExperiments,
    Runs,
    RunSearches,
    RunComparisons,
    Artifacts,
    ArtifactRemoval,
    LoggedModels,
    Datasets,
    Metrics,
    MetricNames,
    ExperimentExports,
    ExperimentImports,
    RunPages {
  /** For those who serve this platform to other processes. */
  readonly elsewhere: RunsElsewhere;
}

/** What tracking needs beside its scope. */
export interface TrackingParts {
  /** The process's metric writer, started when first asked for. */
  readonly writer: () => MetricWriter;
  readonly heartbeats: Heartbeats;
  /** A run without a sign of life for this long is dead; 30,000 when left out. */
  readonly heartbeatTimeoutMs?: number;
  readonly options?: TrackingOptions;
  readonly systemMetrics?: SystemMetricsOption;
}

/** How tracking behaves. */
export interface TrackingOptions {
  /**
   * Whether runs that have ended take params, metrics, artifacts and datasets: `refuse` when left out.
   * With `allow` each is told of in the run's history; metrics once for each process that logs them.
   */
  readonly lateLogging?: 'refuse' | 'allow';
  /** What is captured where runs do not say otherwise; all of it when left out. */
  readonly environment?: EnvironmentOptions | false;
}

/** The shape of {@link TrackingOptions}. */
export const trackingOptions: z.ZodType = z.strictObject({
  lateLogging: z.enum(['refuse', 'allow']).optional(),
  environment: environmentOption.optional(),
} satisfies Record<keyof TrackingOptions, z.ZodType>);

/** Tracking, bound to a workspace and a principal. */
export function createTracking(
  scope: Scope,
  parts: TrackingParts,
): Tracking & {
  noteLostPoints(): Promise<void>;
  readonly runCare: RunCare;
  readonly runsInCommits: RunsInCommits;
} {
  const { writer, heartbeats, heartbeatTimeoutMs = 30_000, options = {}, systemMetrics } = parts;
  const lateLogging = options.lateLogging === 'allow';
  const warn = (message: string, fields: object): void =>
    scope.logger.warn({ component: 'tracking', ...fields }, message);

  const { experiments, stored } = createExperiments(scope);
  const records = createRunRecords(scope, { heartbeats, heartbeatTimeoutMs, lateLogging });
  const artifactLog = createArtifacts(scope, records, warn);
  const { log: _, listed: __, ...artifacts } = artifactLog;
  const { logDataset, ...datasets } = createDatasets(scope, records);
  const logging = createRunLogging(scope, records, warn);
  const ending = createRunEnding(scope, { records, artifacts: artifactLog, writer, warn });
  const common = { records, logging, ending };
  const names = createMetricNames(scope);
  const watch = createMetricNameWatch({
    names: names.listMetricNames,
    earlierKeys: (experimentId, runId) => keysOfEarlierRuns(scope, experimentId, runId),
    warn,
  });
  const starting = createRunStarting(scope, {
    ...common,
    datasets: { logDataset },
    writer,
    experiments: stored,
    artifacts: artifactLog,
    metricSeen: watch.seen,
    report: (runId) => runPage(runId),
    ...optional('systemMetrics', systemMetrics),
    ...optional('environment', options.environment),
  });
  const runs = createRuns(scope, { ...common, starting });
  const searches = createRunSearches(scope, {
    experiments: stored,
    read: records.read,
    sweep: createSweep(ending, warn),
  });
  const metrics = createMetrics(scope, records);
  const comparisons = createRunComparisons(scope, { records, artifacts, names });

  function runPage(runId: string): Promise<string> {
    return renderRunPage({ experiments, runs, searches, artifacts, datasets, metrics }, runId);
  }

  return {
    noteLostPoints: () => ending.noteLost(),
    runCare: { deaths: records.deaths, reap: ending.reap },
    runsInCommits: starting.inCommits,
    ...experiments,
    ...createExperimentSearches(scope),
    ...createArtifactRemoval(scope, records),
    ...createLoggedModels(scope, records),
    ...runs,
    ...searches,
    ...artifacts,
    ...metrics,
    ...datasets,
    ...names,
    ...comparisons,
    ...createTypedExperiments(runs),
    ...createExperimentExports(scope, { experiments, reap: ending.reap }),
    ...createExperimentImports(scope),
    comparisonPage: (ids, options) =>
      renderComparisonPage(
        { experiments, comparisons, metrics },
        assertList(ids, 'The runs of a comparison'),
        options,
      ),
    runPage,
    elsewhere: createRunsElsewhere(scope, {
      ...{ heartbeats, heartbeatTimeoutMs, lateLogging },
      experiments: stored,
    }),
  };
}

const sweepEveryMs = 1000;
const sweepLimit = 100;

/** Marks dead runs for whoever lists runs: once a second at most, and never a reason to fail. */
function createSweep(
  ending: RunEnding,
  warn: (message: string, fields: object) => void,
): () => Promise<void> {
  let sweptAt = Number.NEGATIVE_INFINITY;
  return async () => {
    const now = performance.now();
    if (now - sweptAt < sweepEveryMs) return;
    sweptAt = now;
    try {
      await ending.reap(sweepLimit);
    } catch (error) {
      // What is wrong with the store, the search itself will say.
      if (!isKeelsonError(error, 'CLOSED'))
        warn('Runs of dead processes could not be marked.', { error });
    }
  };
}
