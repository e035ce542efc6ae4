import type { ByteSource } from '../contracts/artifact-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { normaliseArtifactPath } from '../tracking/artifact-path.ts';
import type { Artifact } from '../tracking/artifacts.ts';
import type { Tracking } from '../tracking/tracking.ts';
import type { ModelFile } from './model-version.ts';

/** Where the files of a version come from: a run's artifacts below a path, or files by their names. */
export type FilesOrigin =
  | { readonly runId: string; readonly path: string }
  | { readonly files: Readonly<Record<string, ByteSource>> };

/** The files of a version to be, by path ascending, their content in the store and verified. */
export async function gatherFiles(
  scope: Scope,
  tracking: Tracking,
  from: FilesOrigin,
): Promise<readonly ModelFile[]> {
  const files: ModelFile[] = [];
  if ('runId' in from) {
    for await (const artifact of artifactsBelow(tracking, from.runId, from.path)) {
      const { sha256, sizeBytes } = await scope.artifacts.verify(artifact.sha256);
      // From here on it is as if it had just been put: no collection of garbage takes it.
      if (!(await scope.artifacts.keep(sha256))) {
        throw new KeelsonError(
          'NOT_FOUND',
          `The content of ${artifact.path} of run ${from.runId} has just been removed; log it again.`,
        );
      }
      const inside = artifact.path.slice(normaliseArtifactPath(from.path).length + 1);
      const path = inside === '' ? (artifact.path.split('/').at(-1) ?? artifact.path) : inside;
      files.push({ path, sha256, sizeBytes });
    }
    if (files.length === 0) {
      throw new KeelsonError(
        'NOT_FOUND',
        `Run ${from.runId} has no artifact at ${from.path}; log the model's files below that path first.`,
      );
    }
  } else {
    for (const [path, source] of Object.entries(from.files)) {
      files.push({ path: normaliseArtifactPath(path), ...(await scope.artifacts.put(source)) });
    }
    if (files.length === 0) throw new KeelsonError('INVALID', 'A model version needs files.');
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function* artifactsBelow(
  tracking: Tracking,
  runId: string,
  prefix: string,
): AsyncIterable<Artifact> {
  let cursor: string | undefined;
  do {
    const from = cursor === undefined ? {} : { cursor };
    const page = await tracking.listArtifacts(runId, { prefix, ...from });
    yield* page.artifacts;
    cursor = page.cursor;
  } while (cursor !== undefined);
}
