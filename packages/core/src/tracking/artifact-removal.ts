import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { assertAllowed } from '../operations/decide-and-commit.ts';
import { normaliseArtifactPath } from './artifact-path.ts';
import { findLiveArtifact } from './artifact-place.ts';
import type { RunRecords } from './run-records.ts';

/** Takes artifacts out of runs. */
export interface ArtifactRemoval {
  /**
   * Takes one artifact off its path; like one that another has taken the place of, it stays in the run's past, and
   * model versions that were made of it keep it. NOT_FOUND, naming run and path.
   */
  removeArtifact(runId: string, path: string): Promise<void>;
}

/** Removal of artifacts, bound to a scope. */
export function createArtifactRemoval(
  scope: Scope,
  records: Pick<RunRecords, 'whileLoggable'>,
): ArtifactRemoval {
  return {
    async removeArtifact(runId, rawPath) {
      const path = normaliseArtifactPath(rawPath);
      await assertAllowed(scope, 'run.write', `run:${assertText(runId, 'A run id')}`);
      await records.whileLoggable(runId, `artifact ${path} removed`, async () => {
        const found = await findLiveArtifact(scope, runId, path);
        if (found === undefined) {
          throw new KeelsonError(
            'NOT_FOUND',
            `Run ${runId} has no artifact ${JSON.stringify(path)}.`,
            { details: { runId, path } },
          );
        }
        const { id, revision: expect } = found;
        const columns = { livePath: undefined };
        return [{ op: 'replace', kind: 'artifact', id, expect, columns }] satisfies Change[];
      });
    },
  };
}
