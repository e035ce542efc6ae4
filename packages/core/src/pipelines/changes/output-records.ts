import type { Change } from '../../contracts/metadata-store.ts';
import { derivedId } from '../execution.ts';
import type { ArtifactFacts } from '../step-artifact.ts';
import { type AttemptDetails, outputPath, type StepState } from '../step-execution.ts';

/** How many artifacts one step may put out. */
export const maxArtifacts = 200;

export function recordOutput(state: StepState, artifact: ArtifactFacts): Change {
  const { name, sha256, sizeBytes, mimeType } = artifact;
  const { executionId, step, mapKey, attempt } = state;
  const item = mapKey === '' ? [] : [mapKey];
  return {
    op: 'create',
    kind: 'step_output',
    id: derivedId(executionId, 'output', step, name, ...item),
    columns: {
      executionId,
      step,
      name,
      attempt,
      path: outputPath(state, name),
      sha256,
      sizeBytes,
      mimeType,
    },
  };
}

/** What an attempt has written, among what its step has put out. */
export function recordLog(
  state: StepState,
  details: AttemptDetails | undefined,
): readonly Change[] {
  return details?.log === undefined ? [] : [recordOutput(state, details.log)];
}
