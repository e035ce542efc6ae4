import type { NamedContents, OpenReferences } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import { referredBy } from '../operations/every-record.ts';

/** The contents that steps have put out, and their checkpoints. */
export function createOutputReferences(scope: Scope): OpenReferences {
  return async () => ({
    async among(digests) {
      const outputs = await referredBy(scope, 'step_output', digests);
      return new Set([...outputs, ...(await referredBy(scope, 'step_checkpoint', digests))]);
    },
  });
}

/** The same, as the records name them. */
export const outputContents: NamedContents = {
  kind: 'step_output',
  digests: ({ columns }) => [columns['sha256'] as string],
};
