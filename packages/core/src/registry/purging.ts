import type { Purge } from '../contracts/caretaker.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { commitChanges } from '../operations/decide-and-commit.ts';
import { everyRecord } from '../operations/every-record.ts';
import { is, lacks } from './model-records.ts';
import type { RegistryParts } from './registry-parts.ts';

/**
 * Gives up the content of versions that were deleted before a time, or whose model was. Their records stay,
 * so that number and semver are never used again and the audit has what it is of. One that is still
 * deployed (it was deleted by force) keeps its content.
 */
export function createVersionPurge(scope: Scope, parts: Pick<RegistryParts, 'uses'>): Purge {
  return async ({ deletedBefore, dryRun, signal, onRemoved }) => {
    const purge = async (where: Predicate): Promise<void> => {
      const of: Predicate[] = [where, lacks('purgedAt')];
      const all = everyRecord(scope, 'model_version', { where: { op: 'and', of }, signal });
      for await (const version of all) {
        if ((await parts.uses(version.id)).length > 0) continue;
        if (!dryRun && !(await purged(scope, version))) continue;
        onRemoved(`version:${version.columns['modelName']}@${version.columns['version']}`);
      }
    };
    await purge(before(deletedBefore));
    for await (const model of everyRecord(scope, 'model', {
      where: before(deletedBefore),
      signal,
    })) {
      if (!dryRun && !(await emptied(scope, model))) continue;
      await purge(is('modelId', model.id));
    }
  };
}

/**
 * From here on a model that is restored is one without versions: it points to none. Answers false where it was
 * restored in between.
 */
async function emptied(scope: Scope, model: StoredRecord): Promise<boolean> {
  const { id, revision: expect, columns, body } = model;
  if (columns['purgedAt'] !== undefined) return true;
  return await written(scope, {
    ...({ op: 'replace', kind: 'model', id, expect } as const),
    columns: {
      ...{ purgedAt: scope.clock.now(), latestVersionId: undefined },
      ...{ productionVersionId: undefined, applyingId: undefined },
    },
    body: { ...body, aliases: {} },
  });
}

/** Answers false where it was restored in between. */
async function purged(scope: Scope, version: StoredRecord): Promise<boolean> {
  const { id, revision: expect, columns } = version;
  const at = scope.clock.now();
  return await written(scope, {
    ...({ op: 'replace', kind: 'model_version', id, expect } as const),
    columns: { purgedAt: at, deletedAt: columns['deletedAt'] ?? at },
  });
}

async function written(scope: Scope, change: Change): Promise<boolean> {
  try {
    await commitChanges(scope, [change], 'deleted for longer than the retention');
    return true;
  } catch (error) {
    if (!isKeelsonError(error, 'STALE')) throw error;
    return false;
  }
}

function before(time: number): Predicate {
  const left = { from: 'column', name: 'deletedAt' } as const;
  return { op: 'compare', left, cmp: '<', value: time };
}
