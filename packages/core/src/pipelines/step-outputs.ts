import type { NamedContents, OpenReferences } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import { referredBy } from '../operations/every-record.ts';

/** The contents that completed steps have put out. */
export function createOutputReferences(scope: Scope): OpenReferences {
  return async () => ({ among: (digests) => referredBy(scope, 'step_output', digests) });
}

/** The same, as the records name them. */
export const outputContents: NamedContents = {
  kind: 'step_output',
  digests: ({ columns }) => [columns['sha256'] as string],
};
