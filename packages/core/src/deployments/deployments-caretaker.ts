import type { Caretaker } from '../contracts/caretaker.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import { danglingReferences, type Reference } from '../operations/reconcile/dangling.ts';
import { settle } from '../operations/reconcile/mending.ts';
import { deploymentChecks, deploymentRecoveries, routesWithFaults } from './deployment-checks.ts';

const component = 'deployments';
const references: readonly Reference[] = [
  { kind: 'route', column: 'deploymentId', to: ['deployment'], mend: 'remove' },
  {
    ...{ kind: 'deployment', column: 'activeRolloutId', to: ['rollout', 'ab_test'] },
    mend: { columns: { activeRolloutId: undefined } },
  },
  { kind: 'deployment_revision', column: 'deploymentId', to: ['deployment'], mend: 'remove' },
  { kind: 'deployment_health', column: 'deploymentId', to: ['deployment'], mend: 'remove' },
  { kind: 'rollback_watch', column: 'deploymentId', to: ['deployment'], mend: 'remove' },
  { kind: 'ab_test', column: 'deploymentId', to: ['deployment'], mend: 'remove' },
  { kind: 'rollout', column: 'deploymentId', to: ['deployment'] },
  { kind: 'rollout', column: 'candidateVersionId', to: ['model_version'] },
];

/** What deployments hand to operations. */
export function deploymentsCaretaker(scope: Scope, loops: readonly Loop[]): Caretaker {
  return {
    component,
    checks: deploymentChecks(scope),
    recoveries: deploymentRecoveries(scope, loops),
    async reconcile(how) {
      const findings = [...(await danglingReferences(scope, component, references, how))];
      for await (const { record, found } of routesWithFaults(scope, how.signal)) {
        if (found.length === 0) continue;
        const problem = `It cannot be followed: ${found.join('; ')}. Set another route.`;
        const finding = await settle(scope, { component, record, problem }, how);
        if (finding !== undefined) findings.push(finding);
      }
      return findings;
    },
  };
}
