import type { Caretaker } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import { createModelReferences, modelContents } from './references.ts';
import { registryChecks } from './registry-checks.ts';

/** What the registry hands to operations; its checks may write in the workspace `reserved`. */
export function registryCaretaker(scope: Scope, reserved: string): Caretaker {
  return {
    component: 'registry',
    references: createModelReferences(scope),
    contents: modelContents,
    checks: registryChecks(scope, { ...scope, workspace: reserved }),
  };
}
