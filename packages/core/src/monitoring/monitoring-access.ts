import type { Scope } from '../contracts/scope.ts';
import { type AccessRules, asks, guard, named, namedIn } from '../operations/access-guard.ts';
import type { SampledRequest } from '../registry/validation/test-context.ts';
import type { Monitoring } from './monitoring.ts';
import type { KnownRow } from './rule.ts';

const reads = asks('monitor.read', named('deployment-id'));
const manages = asks('monitor.manage', namedIn('deployment-id', 'deployment', 'id'));

/** Who may call what of monitoring. */
const rules: AccessRules<Monitoring> = {
  // Asked when a batch is stored, off the path of requests.
  predictions: 'local',
  evidence: { ask: asks('monitor.read', namedIn('deployment-id', 'deploymentId')) },
  watch: manages,
  rebaseline: manages,
  getMonitor: reads,
  logLabels: asks('label.write', named('deployment-id')),
  evaluate: asks('monitor.manage', named('deployment-id')),
  listAnalyses: reads,
  listAlerts: reads,
  getAlert: asks('monitor.read', named('alert')),
  performance: reads,
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
  close: 'local',
};

/** Monitoring, asking the scope's authorizer before every call. */
export function guardMonitoring(scope: Scope, monitoring: Monitoring): Monitoring {
  return guard(scope, monitoring, rules);
}
