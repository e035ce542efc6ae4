import type { Caretaker } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import { createModelReferences, modelContents } from './references.ts';
import { registryChecks } from './registry-checks.ts';
import { reconcileRegistry } from './registry-reconcile.ts';

/** What the registry hands to operations; its checks may write in the workspace `reserved`. */
export function registryCaretaker(scope: Scope, reserved: string): Caretaker {
  return {
    component: 'registry',
    references: createModelReferences(scope),
    contents: modelContents,
    reconcile: reconcileRegistry(scope),
    checks: registryChecks(scope, { ...scope, workspace: reserved }),
  };
}
