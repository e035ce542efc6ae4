import { z } from 'zod';
import {
  type ArchiveReader,
  type ArchiveSource,
  openArchive,
} from '../../archive/archive-reader.ts';
import { checkOptions, signalOption } from '../../check-options.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { assertAllowed } from '../../operations/decide-and-commit.ts';
import { contentPath } from '../../tracking/export-layout.ts';
import { takeImportTurn } from '../../tracking/import-turn.ts';
import { putContent } from '../../tracking/import-writing.ts';
import { type CheckedModels, checkModels, type IfExists } from './check-models.ts';
import type { OutsideNodes } from './export-models.ts';
import { type ModelsWriting, writeDatasets, writeModel } from './model-writing.ts';
import { modelsHold } from './models-layout.ts';
import {
  addTally,
  emptyModelTally,
  type ModelTally,
  type MovedModelCounts,
} from './moved-model-counts.ts';

/** What to import. */
export interface ModelImportOptions {
  /** What `exportModels` made: a directory, a `.tar` or `.tar.gz` file, or the bytes of one. */
  readonly from: ArchiveSource;
  /** Checks everything and writes nothing: the report says what would be added. */
  readonly dryRun?: boolean;
  /**
   * A model that is here already with the same content is passed over (`skip`, when left out), or refused
   * as CONFLICT. With other content it is refused in any case.
   */
  readonly ifExists?: 'refuse' | 'skip';
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ModelImportProgress) => void;
}

/** How far an import is. */
export interface ModelImportProgress {
  /** Everything is read and compared; contents are stored; records are. */
  readonly phase: 'check' | 'content' | 'records';
  readonly models: number;
  readonly versions: number;
  /** Of the content phase. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** What was imported. */
export interface ModelImportReport {
  readonly added: MovedModelCounts;
  /** What was here already, with the same content. */
  readonly skipped: MovedModelCounts;
  /** What versions came of and neither the archive nor this workspace has. Their ids stay. */
  readonly outside: OutsideNodes;
}

/** Brings models into a registry. */
export interface ModelImports {
  /**
   * Imports what `exportModels` wrote: ids, numbers, times, stages, aliases, approvals, kept history and the
   * audit chains as they were. Everything is read and checked before any record is written, and no model is
   * there before all that is its own is. Again is harmless: what is here with the same content is counted as
   * skipped; killed, it is completed by the same import. CONFLICT, naming it, for what is here with other
   * content; CORRUPT and INVALID, naming the member or the record, for what is damaged, no export, or breaks
   * a law of the registry (two versions in production, a cycle in the lineage, an audit that does not stand);
   * INCOMPATIBLE for a newer format.
   */
  importModels(options: ModelImportOptions): Promise<ModelImportReport>;
}

const shape = z.strictObject({
  from: z.custom(
    (value) =>
      (typeof value === 'string' && value !== '') ||
      (typeof value === 'object' && value !== null && Symbol.asyncIterator in value),
    'must be a path or a stream',
  ),
  dryRun: z.boolean().optional(),
  ifExists: z.enum(['refuse', 'skip']).optional(),
  signal: signalOption.optional(),
  onProgress: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof ModelImportOptions, z.ZodType>);

/** Contents that are stored at once. */
const contentsAtOnce = 8;
const tellEveryMs = 200;
const named = 1_000;

interface Work {
  readonly scope: Scope;
  readonly archive: ArchiveReader;
  readonly ifExists: IfExists;
  readonly progress: Progress;
}

/** Imports, bound to a scope. */
export function createModelImports(scope: Scope): ModelImports {
  return {
    async importModels(options) {
      checkOptions(shape, options, 'importModels');
      const { from, dryRun = false, ifExists = 'skip' } = options;
      const signal = options.signal ?? new AbortController().signal;
      await assertAllowed(scope, 'model.import', `workspace:${scope.workspace}`);
      await scope.quotas?.assertRoom('storage');
      try {
        signal.throwIfAborted();
        const archive = await openArchive(from, { holds: modelsHold, signal });
        try {
          const work = { scope, archive, ifExists, progress: new Progress(options.onProgress) };
          return dryRun ? await tryOut(work, signal) : await inTurn(work, signal);
        } finally {
          await archive[Symbol.asyncDispose]();
        }
      } catch (error) {
        if (!signal.aborted || isKeelsonError(error, 'ABORTED')) throw error;
        throw new KeelsonError('ABORTED', 'The import was aborted; import again to complete it.', {
          cause: error,
        });
      }
    },
  };
}

async function tryOut(work: Work, signal: AbortSignal): Promise<ModelImportReport> {
  const { scope, archive, ifExists } = work;
  const checked = await checkModels(scope, archive, ifExists, signal);
  const { missing, here } = checked;
  for (const sha256 of checked.contents.keys()) {
    await archive.verify(contentPath(sha256), signal);
    const isHere = (await scope.artifacts.find(sha256)) !== undefined;
    (isHere ? here : missing).contents += 1;
  }
  return report(missing, here, checked);
}

/** One import at a time writes into a workspace: what it has compared with stays as it is but for its models. */
async function inTurn(work: Work, signal: AbortSignal): Promise<ModelImportReport> {
  const { scope, archive, ifExists, progress } = work;
  const turn = await takeImportTurn(scope, signal);
  try {
    const checked = await checkModels(scope, archive, ifExists, turn.signal);
    const { added, skipped } = progress;
    const contentsAt = performance.now();
    await putContents(work, checked, turn.signal);
    progress.phase = 'records';
    const writing: ModelsWriting = {
      ...{ scope, archive, turn, added, skipped, contentsAt },
      // Once for each commit.
      tell: () => progress.tell(true),
    };
    progress.tell(true);
    await writeDatasets(writing, checked.datasets);
    for (const { path, isHere, here } of checked.models) {
      if (isHere) addTally(skipped, here);
      else await writeModel(writing, path);
    }
    return report(added, skipped, checked);
  } catch (error) {
    // What the work says of an aborted signal, or why the turn was lost.
    throw turn.signal.aborted && !signal.aborted ? turn.signal.reason : error;
  } finally {
    await turn[Symbol.asyncDispose]();
  }
}

/**
 * Contents are read even where they are here already: each byte of the archive is checked. Several are
 * under way at once; when one fails, the others end, and then it is told.
 */
async function putContents(
  { scope, archive, progress }: Work,
  { contents }: CheckedModels,
  outer: AbortSignal,
): Promise<void> {
  progress.phase = 'content';
  for (const sizeBytes of contents.values()) progress.totalBytes += sizeBytes;
  const failed = new AbortController();
  const signal = AbortSignal.any([outer, failed.signal]);
  const left = contents.entries();
  const work = async (): Promise<void> => {
    for (const [sha256, sizeBytes] of left) {
      signal.throwIfAborted();
      const isHere = await scope.artifacts.keep(sha256);
      if (isHere) await archive.verify(contentPath(sha256), signal);
      else await putContent(scope, archive, sha256, signal);
      (isHere ? progress.skipped : progress.added).contents += 1;
      progress.doneBytes += sizeBytes;
      progress.tell();
    }
  };
  const first = (error: unknown): void => failed.abort(failed.signal.reason ?? error);
  await Promise.all(Array.from({ length: contentsAtOnce }, () => work().catch(first)));
  outer.throwIfAborted();
  if (failed.signal.aborted) throw failed.signal.reason;
}

function report(added: ModelTally, skipped: ModelTally, { outside }: CheckedModels) {
  return { added, skipped, outside: { count: outside.length, ids: outside.slice(0, named) } };
}

/** What an import has done so far. */
class Progress {
  readonly added: ModelTally = emptyModelTally();
  readonly skipped: ModelTally = emptyModelTally();
  readonly #tell: ((progress: ModelImportProgress) => void) | undefined;
  phase: ModelImportProgress['phase'] = 'check';
  doneBytes = 0;
  totalBytes = 0;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(tell: ((progress: ModelImportProgress) => void) | undefined) {
    this.#tell = tell;
    this.tell(true);
  }

  tell(always = false): void {
    if (this.#tell === undefined) return;
    const now = performance.now();
    if (!always && now - this.#toldAt < tellEveryMs) return;
    this.#toldAt = now;
    const { phase, doneBytes, totalBytes, added, skipped } = this;
    const models = added.models + skipped.models;
    const versions = added.versions + skipped.versions;
    this.#tell({ phase, models, versions, doneBytes, totalBytes });
  }
}
