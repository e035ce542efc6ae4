import type { ActiveRun } from '@keelson/core';
import { isKeelsonError } from '@keelson/core';
import { skipped } from './fit.ts';
import type { Writing } from './run-writing.ts';
import type { FilesOwner, SourceFile } from './source.ts';

/** Which files go where. */
export interface FilesPlace {
  readonly owner: FilesOwner;
  readonly run: ActiveRun;
  /** Below the run's artifacts; empty, or ends with a slash. */
  readonly prefix: string;
  /** Whether nothing can be here yet. */
  readonly isNew: boolean;
  readonly what: string;
}

/** Brings files here, one after another as streams; those that are here with the same size are left as they are. */
export async function writeFiles(writing: Writing, place: FilesPlace): Promise<void> {
  const { signal } = writing;
  for await (const file of writing.source.files(place.owner)) {
    signal.throwIfAborted();
    await writeFile(writing, place, file);
    writing.tell();
  }
}

async function writeFile(writing: Writing, place: FilesPlace, file: SourceFile): Promise<void> {
  const { notes, signal, services } = writing;
  const path = `${place.prefix}${file.path}`;
  const what = `artifact ${file.path} of ${place.what}`;
  await skipped(notes, what, async () => {
    if (!place.isNew && (await isHere(services.tracking, place.run.id, path, file.sizeBytes))) {
      notes.there.artifacts += 1;
      notes.there.artifactBytes += file.sizeBytes ?? 0;
      return;
    }
    const bytes = await file.open();
    const { sizeBytes } = await place.run.logArtifact(path, bytes, {
      onConflict: 'replace',
      signal,
    });
    notes.added.artifacts += 1;
    notes.added.artifactBytes += sizeBytes;
  });
}

async function isHere(
  tracking: Writing['services']['tracking'],
  runId: string,
  path: string,
  sizeBytes: number | undefined,
): Promise<boolean> {
  try {
    const found = await tracking.getArtifact(runId, path);
    return sizeBytes === undefined || found.sizeBytes === sizeBytes;
  } catch (error) {
    if (isKeelsonError(error, 'NOT_FOUND')) return false;
    throw error;
  }
}
