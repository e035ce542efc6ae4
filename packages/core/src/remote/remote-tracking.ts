import { checkOptions } from '../check-options.ts';
import type { MetricWriter } from '../contracts/metric-writer.ts';
import type { Clock, Logger } from '../contracts/ports.ts';
import { assertText } from '../json.ts';
import { createMetricNameWatch, earlierRuns } from '../tracking/metric-name-watch.ts';
import { optional } from '../tracking/run.ts';
import { joinShape } from '../tracking/runs.ts';
import type { SystemMetricsOption } from '../tracking/system-metrics.ts';
import type { Tracking, TrackingOptions } from '../tracking/tracking.ts';
import { createTypedExperiments } from '../tracking/typed-experiment.ts';
import { createWithRun } from '../tracking/with-run.ts';
import type { Link } from './link.ts';
import { createRemoteArtifacts } from './remote-artifacts.ts';
import { createRemoteRuns } from './remote-runs.ts';
import { createRemoteService } from './remote-service.ts';

/** What tracking elsewhere needs beside its link. */
export interface RemoteTrackingParts {
  readonly workspace: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly lateLogging: boolean;
  readonly uploadsDir: string;
  readonly options?: TrackingOptions | undefined;
  readonly systemMetrics?: SystemMetricsOption | undefined;
  writer(): MetricWriter;
}

/** Tracking over a link. */
export function createRemoteTracking(
  link: Link,
  parts: RemoteTrackingParts,
): { readonly tracking: Tracking; noteLost(): Promise<void> } {
  const warn = (message: string, fields: object): void =>
    parts.logger.warn({ component: 'tracking', ...fields }, message);
  const tracking = createRemoteService<Tracking>(link, 'tracking');
  const artifacts = createRemoteArtifacts(link, {
    records: tracking,
    uploadsDir: parts.uploadsDir,
    warn,
  });
  const watch = createMetricNameWatch({
    names: () => tracking.listMetricNames(),
    async earlierKeys(experimentId, runId) {
      const search = { experiment: experimentId, limit: earlierRuns + 1 };
      const { runs } = await tracking.searchRuns(search);
      const ended = runs.filter(({ id, status }) => id !== runId && status !== 'RUNNING');
      return ended.slice(0, earlierRuns).flatMap(({ metrics }) => Object.keys(metrics));
    },
    warn,
  });
  const runs = createRemoteRuns(link, {
    ...parts,
    environment: parts.options?.environment,
    artifacts,
    metricSeen: watch.seen,
    report: (id) => tracking.runPage(id),
    setTags: (id, tags) => tracking.setRunTags(id, tags),
    findRun: (id) => tracking.findRun(id),
  });
  const { log: _, ...reading } = artifacts;
  const withRun = createWithRun(parts, runs);
  const startRun: Tracking['startRun'] = (options) => runs.start(options);
  const made: Partial<Tracking> = {
    ...reading,
    withRun,
    startRun,
    ...createTypedExperiments({ startRun, withRun }),
    joinRun: async (id) => {
      return runs.join(assertText(id, 'A run id'), { resume: false, systemMetrics: false });
    },
    async resumeRun(id, options = {}) {
      checkOptions(joinShape, options, 'resumeRun');
      const { systemMetrics } = options;
      const run = assertText(id, 'A run id');
      return runs.join(run, { resume: true, ...optional('systemMetrics', systemMetrics) });
    },
    async *eachRun(search = {}) {
      let cursor = search.cursor;
      do {
        const from = cursor === undefined ? search : { ...search, cursor };
        const page = await tracking.searchRuns(from);
        yield* page.runs;
        cursor = page.cursor;
      } while (cursor !== undefined);
    },
  };
  Object.assign(tracking, made);
  return { tracking, noteLost: () => runs.noteLost() };
}
