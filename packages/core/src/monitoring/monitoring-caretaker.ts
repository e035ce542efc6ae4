import type { Caretaker } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import { danglingReferences, type Reference } from '../operations/reconcile/dangling.ts';
import { evaluationCheck } from './alerting/self-watch.ts';
import { detectorCheck, evaluateMonitors, freshnessCheck } from './monitoring-checks.ts';
import { watchedName } from './watching/watched-id.ts';

const references: readonly Reference[] = [
  { kind: 'monitor', column: 'deploymentId', to: ['deployment'], mend: 'remove' },
  { kind: 'monitor', column: 'versionId', to: ['model_version'] },
  { kind: 'alert', column: 'deploymentId', to: ['deployment'] },
  // Baselines outlive their deployments; a watched function's versions are no records.
  {
    kind: 'baseline',
    column: 'versionId',
    to: ['model_version'],
    except: (id) => !/^[0-9a-f]{8}-/.test(id),
  },
  {
    kind: 'loss_watch',
    column: 'deploymentId',
    to: ['deployment'],
    mend: 'remove',
    except: (id) => watchedName(id) !== undefined,
  },
  {
    kind: 'multivariate_baseline',
    column: 'deploymentId',
    to: ['deployment'],
    mend: 'remove',
    except: (id) => watchedName(id) !== undefined,
  },
  {
    kind: 'drift_analysis',
    column: 'deploymentId',
    to: ['deployment'],
    except: (id) => watchedName(id) !== undefined,
  },
];

/** What monitoring hands to operations. */
export function monitoringCaretaker(
  scope: Scope,
  evaluate: Parameters<typeof evaluateMonitors>[1],
): Caretaker {
  return {
    component: 'monitoring',
    checks: [freshnessCheck(scope), detectorCheck(), evaluationCheck(scope)],
    recoveries: [evaluateMonitors(scope, evaluate)],
    reconcile: (how) => danglingReferences(scope, 'monitoring', references, how),
  };
}
