import type { Caretaker } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import { createVersionPurge } from './purging.ts';
import { createRegistryReferences, registryContents } from './references.ts';
import { registryChecks } from './registry-checks.ts';
import type { RegistryParts } from './registry-parts.ts';
import { reconcileRegistry } from './registry-reconcile.ts';

/** What the registry hands to operations; its checks may write in the workspace `reserved`. */
export function registryCaretaker(
  scope: Scope,
  reserved: string,
  parts: Pick<RegistryParts, 'uses'>,
): Caretaker {
  return {
    component: 'registry',
    purge: createVersionPurge(scope, parts),
    references: createRegistryReferences(scope),
    contents: registryContents,
    reconcile: reconcileRegistry(scope),
    checks: registryChecks(scope, { ...scope, workspace: reserved }),
  };
}
