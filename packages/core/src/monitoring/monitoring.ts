import { assertList, assertObject } from '../check-options.ts';
import type { EvidenceSource } from '../contracts/evidence-source.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { asJson, assertText, type JsonObject } from '../json.ts';
import { assertAllowed, commitChanges, decideAndCommit } from '../operations/decide-and-commit.ts';
import type { SampledRequest } from '../registry/validation/test-context.ts';
import type { Alert } from './alerting/alert.ts';
import {
  type AlertingOptions,
  type AlertingService,
  type AlertingWork,
  createAlerting,
} from './alerting/alerting.ts';
import { createAlerts } from './alerting/alerts.ts';
import { createAnalyses } from './analyses.ts';
import { type BaselineService, createBaselineService } from './baselines/baseline-service.ts';
import { createBaselines } from './baselines/baselines.ts';
import { createThresholds, type ThresholdService } from './baselines/learnt-thresholds.ts';
import { createDrift, type DriftService } from './drift/drift-service.ts';
import { createEvidenceSource } from './evidence.ts';
import { createMetrics, type EndpointMetrics } from './metrics/metrics.ts';
import {
  type Analysis,
  beginRules,
  type Monitor,
  monitorFromRecord,
  type WatchLabelsOptions,
} from './monitor.ts';
import { readLabelled } from './performance/labels.ts';
import { performanceOf } from './performance/performance.ts';
import { createPerformance, type PerformanceService } from './performance/performance-service.ts';
import type { CountsKeeper } from './predictions/counts-keeper.ts';
import { fairLabelledFeatures } from './predictions/fair-sample.ts';
import {
  createLoggedPredictions,
  type LoggedPredictions,
} from './predictions/logged-predictions.ts';
import type { PredictionLogOptions } from './predictions/prediction-log-parts.ts';
import {
  createPredictionLogging,
  type PredictionLogging,
} from './predictions/prediction-logging.ts';
import { type SampleOptions, sampleRequests } from './predictions/sampled-requests.ts';
import { type ReportParts, renderReport } from './report.ts';
import type { Responses } from './responses/responses.ts';
import {
  createRetention,
  type PredictionHistory,
  type RetentionRoom,
} from './retention/retention-service.ts';
import { assertRules, type KnownRow, knownRows } from './rule.ts';
import { segmentFeature } from './set-up/segment-feature.ts';
import { createSetUp, type SetUpService, type SetUpWork } from './set-up/set-up.ts';
import {
  type AnyFunction,
  type WatchFunctionOptions,
  watchFunction,
} from './watching/watched-function.ts';
import { CountedWindows } from './windows/counted-windows.ts';
import { createWindowDrift, type WindowDriftService } from './windows/window-drift.ts';

/** Tells, early and without crying wolf, that a model in production has gone wrong. */
export interface Monitoring
  extends PredictionLogging,
    LoggedPredictions,
    PredictionHistory,
    AlertingService,
    PerformanceService,
    DriftService,
    EndpointMetrics,
    BaselineService,
    SetUpService,
    ThresholdService,
    WindowDriftService {
  /** Answers the gates of rollouts. */
  readonly evidence: EvidenceSource;
  /**
   * The same function (of a model, of a route), watched without a deployment: each call is logged and counted, under the
   * id `watch:<name>`. It answers and throws what the function does, at once; nothing of monitoring slows or breaks it.
   */
  watch<F extends AnyFunction>(watched: F, options: WatchFunctionOptions<F>): F;
  /** Begins to hold a deployment's labels to rules; doing so already, it changes nothing. */
  watchLabels(options: WatchLabelsOptions): Promise<Monitor>;
  getMonitor(deploymentId: string): Promise<Monitor>;
  /**
   * Takes the labels observed up to `at` that no analysis has counted yet into every rule, and raises an
   * alert for each that has changed. Labels that are told late count in the next one. While the deployment's version was
   * gone back to and is watched, rules are suspended: the analysis says so, and changes nothing of what they know.
   * Idempotent: an `at` that was analysed before answers that analysis.
   */
  evaluate(deploymentId: string, options: { readonly at: number }): Promise<Analysis | undefined>;
  /** A new reference for all rules; open alerts are resolved. */
  rebaseline(
    options: Omit<WatchLabelsOptions, 'rules'> & { readonly reason: string },
  ): Promise<Monitor>;
  /** Oldest first. */
  listAnalyses(deploymentId: string): Promise<readonly Analysis[]>;
  listAlerts(deploymentId: string): Promise<readonly Alert[]>;
  getAlert(id: string): Promise<Alert>;
  /**
   * Labelled rows of a period: what a new reference is made from. The predictions are those that callers
   * saw, or those of the version named (missing where it gave none).
   */
  labelledRows(
    deploymentId: string,
    range: { readonly from: number; readonly to: number },
    options?: { readonly versionId?: string },
  ): Promise<readonly KnownRow[]>;
  /**
   * Requests of a period, drawn at random: what a validation's `replay` asks again. What was predicted and who
   * asked is not among them but for the request's id.
   */
  sampledRequests(deploymentId: string, options: SampleOptions): Promise<readonly SampledRequest[]>;
  /** A self-contained HTML page: accuracy, label shares and evidence over time, alerts. */
  report(deploymentId: string): Promise<string>;
  /** How troubles are answered by themselves. */
  readonly responses: Responses;
  close(): Promise<void>;
}

const dayMs = 86_400_000;

/** Monitoring, bound to a scope; what answers by itself is wired to it where the other rooms are at hand. */
export function createMonitoring(
  scope: Scope,
  options: {
    readonly predictionLog?: PredictionLogOptions;
    readonly predictionCounts?: CountsKeeper;
    readonly compactDatabase?: () => Promise<boolean>;
    /** Labels later than this after their request are not joined; 60 days when left out. */
    readonly maxLabelDelayMs?: number;
    readonly alerting?: AlertingOptions;
  } = {},
): Omit<Monitoring, 'responses'> & {
  /** What brings set-ups into line, for the platform's loops. */
  readonly setUpWork: Omit<SetUpWork, keyof SetUpService>;
  /** Whether people are still to be told what has waited. */
  readonly isStillWanted: AlertingWork['isStillWanted'];
  /** What lets predictions age. */
  readonly retention: Omit<RetentionRoom, 'service'>;
} {
  const { metadata, workspace } = scope;
  const maxDelayMs = options.maxLabelDelayMs ?? 60 * dayMs;
  const alerts = createAlerts(scope);
  const { emit } = alerts;
  const analyses = createAnalyses(scope, alerts, getMonitor, maxDelayMs);
  const baselines = createBaselines(
    scope,
    (name, told) => emit('baseline.updated', name, told),
    (deploymentId) => windows.forget(deploymentId),
  );
  const windows = new CountedWindows(scope, baselines.find, (id) => segmentFeature(scope, id));
  const logging = createPredictionLogging(scope, {
    ...{
      windows,
      options: options.predictionLog,
      counts: options.predictionCounts,
      compact: options.compactDatabase,
    },
  });
  const { predictions } = logging.service;
  const flush = (): Promise<void> => predictions.flush();
  const { keepBaseline, ...comparing } = createBaselineService(scope, baselines, flush);
  const { learnThresholds, thresholdsOf } = createThresholds(scope, { flush, ...comparing });
  const metrics = createMetrics(scope, flush);
  const { service: history, ...retention } = createRetention(scope, {
    ...{ settings: logging.settings, erasures: logging.erasures, metrics },
  });
  const { presets, isStillWanted, ...alerting } = createAlerting(scope, () => service, {
    ...{ maxDelayMs, ...options.alerting },
  });
  const { setUp, getSetUp, ...setUpWork } = createSetUp(scope, {
    ...{ baselines, alerts, metrics: metrics.metrics, rules: presets },
    changed: (deploymentId) => windows.forget(deploymentId),
  });

  async function findMonitor(deploymentId: string): Promise<Monitor | undefined> {
    const record = await metadata.find(workspace, 'monitor', deploymentId);
    return record && monitorFromRecord(record);
  }

  async function getMonitor(deploymentId: string): Promise<Monitor> {
    const monitor = await findMonitor(deploymentId);
    if (monitor !== undefined) return monitor;
    throw new KeelsonError(
      'NOT_FOUND',
      `Deployment ${deploymentId} is not watched; call monitoring.watchLabels first.`,
    );
  }

  async function watchLabels(given: WatchLabelsOptions): Promise<Monitor> {
    const { id, name } = deploymentOf(given, 'monitoring.watchLabels');
    assertReference(given);
    const existing = await findMonitor(id);
    if (existing !== undefined) return existing;
    await assertAllowed(scope, 'monitor.manage', `deployment:${name}`);
    const begun = beginRules(assertRules(given.rules), given.reference);
    try {
      await commitChanges(scope, [
        {
          op: 'create',
          kind: 'monitor',
          id,
          columns: {
            deploymentId: id,
            deploymentName: name,
            versionId: given.versionId,
            evaluatedAt: given.at,
            referenceSetAt: given.at,
          },
          body: asJson(begun) as JsonObject,
        },
        emit('baseline.updated', name, {
          deploymentId: id,
          versionId: given.versionId,
          at: given.at,
        }),
      ]);
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
    return getMonitor(id);
  }

  async function rebaseline(
    given: Omit<WatchLabelsOptions, 'rules'> & { readonly reason: string },
  ): Promise<Monitor> {
    const { id, name } = deploymentOf(given, 'monitoring.rebaseline');
    assertReference(given);
    await assertAllowed(scope, 'monitor.manage', `deployment:${name}`);
    await decideAndCommit(scope, async () => {
      const monitor = await getMonitor(id);
      // Done already: the same reference time and version.
      if (monitor.referenceSetAt === given.at && monitor.versionId === given.versionId) {
        return { changes: [], result: undefined };
      }
      const open = await alerts.open(id);
      return {
        changes: [
          {
            op: 'replace',
            kind: 'monitor',
            id,
            expect: monitor.revision,
            columns: {
              versionId: given.versionId,
              evaluatedAt: Math.max(monitor.evaluatedAt, given.at),
              referenceSetAt: given.at,
            },
            body: asJson({
              ...beginRules(monitor.rules, given.reference),
              windows: monitor.windows,
            }) as JsonObject,
          },
          ...open.flatMap((alert) => alerts.resolve(alert, given.at, given.reason)),
          emit('baseline.updated', name, {
            deploymentId: id,
            versionId: given.versionId,
            at: given.at,
            reason: given.reason,
          }),
        ],
        result: undefined,
        reason: given.reason,
      };
    });
    return getMonitor(id);
  }

  /** Accuracy over stretches of 28 days from the first analysis to the last. */
  async function accuracyOverTime(
    deploymentId: string,
    made: readonly Analysis[],
  ): Promise<ReportParts['accuracy']> {
    const begin = made[0]?.from;
    const end = made.at(-1)?.at;
    if (begin === undefined || end === undefined) return [];
    const labelled = await readLabelled(
      scope,
      deploymentId,
      { from: begin - 1, to: end },
      maxDelayMs,
    );
    const stretch = 28 * dayMs;
    return Array.from({ length: Math.ceil((end - begin) / stretch) }, (_, i) => {
      const from = begin + i * stretch;
      const { labels, served, majority } = performanceOf(labelled, { from, to: from + stretch });
      return { from, labels, served: served?.accuracy, majority: majority?.share };
    });
  }

  const service: ReturnType<typeof createMonitoring> = {
    ...logging.service,
    ...createLoggedPredictions(scope, predictions),
    ...history,
    ...alerting,
    ...createPerformance(scope, {
      ...{ flush, maxDelayMs },
      lowestRateSince: (id, from) => logging.settings.lowestRateSince(id, from),
    }),
    ...createDrift(scope, { flush, maxDelayMs }),
    ...metrics,
    ...comparing,
    learnThresholds,
    ...createWindowDrift(scope, { flush, thresholdsOf, ...comparing, ...metrics }),
    setUp,
    getSetUp,
    setUpWork,
    isStillWanted,
    retention,
    evidence: createEvidenceSource(scope, maxDelayMs),
    watch: (watched, options) =>
      watchFunction({ scope, sink: predictions, keepBaseline }, watched, options),
    watchLabels,
    getMonitor,
    rebaseline,
    async evaluate(deploymentId, options) {
      const { at } = assertObject(options, 'monitoring.evaluate');
      assertTime(at, 'at');
      await predictions.flush();
      return analyses.evaluate(deploymentId, at);
    },

    listAnalyses: (deploymentId) => analyses.list(deploymentId),

    async report(deploymentId) {
      const [monitor, made, raised] = await Promise.all([
        getMonitor(deploymentId),
        analyses.list(deploymentId),
        alerts.list(deploymentId),
      ]);
      const accuracy = await accuracyOverTime(deploymentId, made);
      return renderReport({ monitor, analyses: made, alerts: raised, accuracy });
    },

    listAlerts: (deploymentId) => alerts.list(deploymentId),
    getAlert: (id) => alerts.get(id),

    async labelledRows(deploymentId, range, rowOptions = {}) {
      assertRange(range, 'monitoring.labelledRows');
      assertObject(rowOptions, 'monitoring.labelledRows');
      await predictions.flush();
      const labelled = await readLabelled(scope, deploymentId, range, maxDelayMs);
      return knownRows(fairLabelledFeatures(labelled), rowOptions.versionId);
    },

    async sampledRequests(deploymentId, options) {
      assertText(deploymentId, 'The id of a deployment');
      assertRange(options, 'monitoring.sampledRequests');
      await predictions.flush();
      return await sampleRequests(scope, deploymentId, options);
    },

    close: () => logging.close({ timeoutMs: 10_000 }),
  };
  return service;
}

/** The deployment that a monitor is of. INVALID, naming the call, where none is given. */
function deploymentOf(
  given: Pick<WatchLabelsOptions, 'deployment'>,
  call: string,
): WatchLabelsOptions['deployment'] {
  const { deployment } = assertObject(given, call);
  const { id, name } = assertObject(deployment, `deployment of ${call}`);
  assertText(id, 'The id of a deployment');
  assertText(name, 'The name of a deployment');
  return deployment;
}

function assertReference({ reference, at, versionId }: Omit<WatchLabelsOptions, 'rules'>): void {
  assertText(versionId, 'A version id');
  assertList(reference, 'The reference');
  assertTime(at, 'at');
}

function assertRange(range: { readonly from: number; readonly to: number }, call: string): void {
  const { from, to } = assertObject(range, call);
  assertTime(from, 'from');
  assertTime(to, 'to');
}

function assertTime(at: unknown, name: string): void {
  if (typeof at === 'number' && Number.isFinite(at)) return;
  throw new KeelsonError('INVALID', `${name} must be a time in epoch milliseconds.`);
}
