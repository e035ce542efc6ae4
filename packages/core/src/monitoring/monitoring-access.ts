import type { Scope } from '../contracts/scope.ts';
import {
  type AccessRules,
  asks,
  asksAll,
  at,
  guard,
  named,
  namedIn,
  resourceOf,
  streams,
} from '../operations/access-guard.ts';
import type { Permission } from '../operations/permissions.ts';
import type { SampledRequest } from '../registry/validation/test-context.ts';
import { alertingRules } from './alerting/alerting-access.ts';
import type { FeatureBaseline } from './baselines/baseline.ts';
import type { StoredBaseline } from './baselines/stored-baseline.ts';
import type { Monitoring } from './monitoring.ts';
import type { RealisedPerformance } from './performance/performance.ts';
import type { StoredPrediction } from './predictions/stored-predictions.ts';
import { type PerformanceReport, reportOf } from './reports/performance-report.ts';
import type { PerformanceReportData } from './reports/performance-report-data.ts';
import type { KnownRow } from './rule.ts';
import type { DriftAnalysis } from './windows/window-drift.ts';

const reads = asks('monitor.read', named('deployment-id'));
const manages = asks('monitor.manage', namedIn('deployment-id', 'deployment', 'id'));

const readsResponses = asks('monitor.read', named('deployment'));
/** What is put acts with the platform's rights: who puts it has those that it uses. */
const answers = asksAll(
  asks('monitor.manage', named('deployment')),
  asks('deployment.deploy', named('deployment')),
  {
    needs: ([, options]) =>
      ['pipeline', 'update'].flatMap((name) => {
        const resource = resourceOf('pipeline', at(options, ['retrain', name]));
        return resource === undefined ? [] : [{ action: 'pipeline.run', resource } as const];
      }),
  },
);

/** Who may call what of monitoring. */
const rules: AccessRules<Monitoring> = {
  // Asked when a batch is stored, off the path of requests.
  predictions: 'local',
  logPredictions: asks('prediction.write', named('deployment-id')),
  listPredictions: {
    ...asks('prediction.read.output', named('deployment-id')),
    async redact(rows: readonly StoredPrediction[], may) {
      const [features, identity] = [
        await may('prediction.read.features'),
        await may('prediction.read.identity'),
      ];
      const asked = identity ? rows : rows.map(withoutIdentity);
      return features ? asked : asked.map((row) => ({ ...row, features: {} }));
    },
  },
  setPredictionSettings: asks('monitor.manage', named('deployment-id')),
  predictionSettings: reads,
  predictionArchives: reads,
  predictionHistory: streams(reads),
  eraseUser: asks('audit.manage'),
  detokenise: asks('prediction.read.identity'),
  evidence: { ask: asks('monitor.read', namedIn('deployment-id', 'deploymentId')) },
  // Its rows and its baseline are asked for when they are stored.
  watch: 'local',
  watchLabels: manages,
  rebaseline: manages,
  getMonitor: reads,
  logLabels: asks('label.write', named('deployment-id')),
  evaluate: asks('monitor.manage', named('deployment-id')),
  setBaseline: manages,
  learnThresholds: asks('monitor.manage', named('deployment-id')),
  updateBaseline: asks('monitor.manage', named('deployment-id')),
  getBaseline: { ...reads, redact: withoutValues },
  listBaselines: {
    ...reads,
    redact: (all: readonly StoredBaseline[], may) =>
      Promise.all(all.map((each) => withoutValues(each, may))),
  },
  setUp: asks('monitor.manage', named('deployment')),
  getSetUp: asks('monitor.read', named('deployment')),
  metrics: reads,
  recentMetrics: reads,
  drift: {
    ...reads,
    async redact(analysis: DriftAnalysis, may) {
      const { drift, ...rest } = analysis;
      if (drift === undefined || (await may('prediction.read.features'))) return analysis;
      return { ...rest, drift: { ...drift, strangers: [] } };
    },
  },
  analyseDrift: asks('monitor.manage', named('deployment-id')),
  listDriftAnalyses: reads,
  dataQuality: reads,
  listAnalyses: reads,
  listAlerts: reads,
  getAlert: asks('monitor.read', named('alert')),
  performance: {
    ...reads,
    // The names of segments are values that features had.
    async redact(performance: RealisedPerformance, may) {
      const { segments, ...rest } = performance;
      return segments === undefined || (await may('prediction.read.features')) ? performance : rest;
    },
  },
  performanceReport: {
    ...reads,
    async redact(report: PerformanceReport, may) {
      if (await may('prediction.read.features')) return report;
      return reportOf({ ...(report.toJSON() as unknown as PerformanceReportData), segments: [] });
    },
  },
  compare: reads,
  logOutcomes: asks('label.write', named('deployment-id')),
  businessMetrics: reads,
  labelledRows: {
    ...asks('prediction.read.output', named('deployment-id')),
    async redact(rows: readonly KnownRow[], may) {
      if (await may('prediction.read.features')) return rows;
      return rows.map((row) => ({ ...row, features: {} }));
    },
  },
  sampledRequests: {
    ...asks('prediction.read.features', named('deployment-id')),
    async redact(requests: readonly SampledRequest[], may) {
      if (await may('prediction.read.identity')) return requests;
      return requests.map(({ features }) => ({ features }));
    },
  },
  report: reads,
  responses: {
    put: answers,
    get: readsResponses,
    list: asks('monitor.read'),
    disable: asks('monitor.manage', named('deployment')),
    enable: answers,
    decisions: readsResponses,
    stop: asks('monitor.manage'),
    unfreeze: asks('monitor.manage'),
    advance: asks('monitor.manage'),
    attention: reads,
    why: asks('model.read', named('version')),
  },
  ...alertingRules,
  close: 'local',
};

function withoutIdentity(row: StoredPrediction): StoredPrediction {
  const { key: _, userId: __, sessionId: ___, correlationId: ____, ...rest } = row;
  return { ...rest, requestId: '' };
}

/** Bins and counts without values that single requests had. */
async function withoutValues(
  stored: StoredBaseline,
  may: (permission: Permission) => Promise<boolean>,
): Promise<StoredBaseline> {
  if (await may('prediction.read.features')) return stored;
  const bare = ({ sample: _, strangers: __, ...rest }: FeatureBaseline): FeatureBaseline =>
    rest as FeatureBaseline;
  const { features, prediction, ...baseline } = stored.baseline;
  return {
    ...stored,
    baseline: {
      ...baseline,
      features: features.map(bare),
      ...(prediction === undefined ? {} : { prediction: bare(prediction) }),
    },
  };
}

/** Monitoring, asking the scope's authorizer before every call. */
export function guardMonitoring(scope: Scope, monitoring: Monitoring): Monitoring {
  return guard(scope, monitoring, rules);
}
