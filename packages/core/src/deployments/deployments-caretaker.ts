import type { Caretaker } from '../contracts/caretaker.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import { deploymentChecks, deploymentRecoveries } from './deployment-checks.ts';

/** What deployments hand to operations. */
export function deploymentsCaretaker(scope: Scope, loops: readonly Loop[]): Caretaker {
  return {
    component: 'deployments',
    checks: deploymentChecks(scope),
    recoveries: deploymentRecoveries(scope, loops),
  };
}
