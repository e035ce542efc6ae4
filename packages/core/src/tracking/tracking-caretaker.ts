import type { Caretaker } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import { artifactContents, artifactReferences, createPurge } from './purging.ts';
import { type RunCare, trackingChecks, trackingRecoveries } from './tracking-checks.ts';
import { reconcileTracking } from './tracking-reconcile.ts';

/** What tracking hands to operations. */
export function trackingCaretaker(scope: Scope, runs: RunCare): Caretaker {
  return {
    component: 'tracking',
    purge: createPurge(scope),
    references: artifactReferences(scope),
    contents: artifactContents,
    checks: trackingChecks(scope, runs),
    recoveries: trackingRecoveries(scope, runs),
    reconcile: reconcileTracking(scope),
  };
}
