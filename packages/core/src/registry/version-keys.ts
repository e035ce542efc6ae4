import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { versionKey } from '../language/version-order.ts';
import { commitChanges } from '../operations/decide-and-commit.ts';
import { everyRecord } from '../operations/every-record.ts';
import { lacks } from './model-records.ts';

/**
 * Gives versions that were registered before there were keys the key by which they are ordered. Asked before
 * searches; looks once in the life of the handle.
 */
export function createVersionKeys(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'principal'>,
): () => Promise<void> {
  let filled: Promise<void> | undefined;

  async function fill(): Promise<void> {
    for await (const { id, revision: expect, columns } of everyRecord(scope, 'model_version', {
      where: lacks('versionKey'),
    })) {
      const key = versionKey(columns['version'] as string);
      if (key === undefined) continue;
      try {
        await commitChanges(
          scope,
          [{ op: 'replace', kind: 'model_version', id, expect, columns: { versionKey: key } }],
          'made before versions had keys',
        );
      } catch (error) {
        // Another process gave it one, or changed it: then the next search does.
        if (!isKeelsonError(error, 'STALE')) throw error;
      }
    }
  }

  return () => {
    filled ??= fill().catch((error: unknown) => {
      filled = undefined;
      throw error;
    });
    return filled;
  };
}
