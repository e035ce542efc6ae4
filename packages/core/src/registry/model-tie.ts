import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';

type ReadScope = Pick<Scope, 'metadata' | 'workspace'>;

const kind = 'model_tie';

/**
 * For a commit that makes something hang on versions of these models: a deployment, a version made of one, a
 * card. Whoever is about to delete or move one at the same moment looks again, because it asserts
 * {@link assertTies}; and this commit has to assert the versions' revisions, which those raise. Raising the
 * versions here instead would say of them that they have changed.
 */
export async function raiseTies(
  scope: ReadScope,
  modelIds: readonly string[],
): Promise<readonly Change[]> {
  const changes: Change[] = [];
  for (const { id, revision } of await tiesOf(scope, modelIds)) {
    if (revision === undefined) {
      // Asserted too, so that the second of two first ties looks again.
      changes.push(
        { op: 'assert', kind, id, expect: 'absent' },
        { op: 'create', kind, id, columns: {} },
      );
    } else changes.push({ op: 'replace', kind, id, expect: revision });
  }
  return changes;
}

/** For a commit that depends on what hangs on a model's versions: to be read before that is looked at. */
export async function assertTies(scope: ReadScope, modelId: string): Promise<Change> {
  const [tie] = await tiesOf(scope, [modelId]);
  return { op: 'assert', kind, id: modelId, expect: tie?.revision ?? 'absent' };
}

async function tiesOf(
  { metadata, workspace }: ReadScope,
  modelIds: readonly string[],
): Promise<readonly { readonly id: string; readonly revision: number | undefined }[]> {
  const ids = [...new Set(modelIds)].sort();
  const found = await metadata.findMany(workspace, kind, ids);
  const revisions = new Map(found.map(({ id, revision }) => [id, revision]));
  return ids.map((id) => ({ id, revision: revisions.get(id) }));
}
