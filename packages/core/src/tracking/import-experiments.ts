import { z } from 'zod';
import { type ArchiveReader, type ArchiveSource, openArchive } from '../archive/archive-reader.ts';
import { checkOptions, signalOption } from '../check-options.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertAllowed } from '../operations/decide-and-commit.ts';
import { contentPath, exportHolds } from './export-layout.ts';
import { type CheckedImport, checkImport } from './import-check.ts';
import { missingNames } from './import-names.ts';
import { takeImportTurn } from './import-turn.ts';
import { ExperimentWriting, putContent, restoreLines, type Writing } from './import-writing.ts';
import { readExperiment } from './imported-experiment.ts';
import { emptyTally, type MovedCounts } from './moved-counts.ts';

/** What to import. */
export interface ImportOptions {
  /** What `exportExperiments` made: a directory, a `.tar` or `.tar.gz` file, or the bytes of one. */
  readonly from: ArchiveSource;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ImportProgress) => void;
}

/** How far an import is. */
export interface ImportProgress {
  /** Everything is read and compared; contents are stored; points and records are. */
  readonly phase: 'check' | 'content' | 'records';
  readonly runs: number;
  readonly points: number;
  /** Of the content phase. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** What was imported. */
export interface ImportReport {
  readonly added: MovedCounts;
  /** What was here already, with the same content. */
  readonly skipped: MovedCounts;
}

/** Brings experiments into a platform. */
export interface ExperimentImports {
  /**
   * Imports what `exportExperiments` wrote, ids, times and history kept. Everything but the contents is
   * read and checked before anything is written, and no run is there before all that is its own is. Again
   * is harmless: what is here with the same content is counted as skipped; killed, it is completed by
   * another import. CONFLICT, naming it, for what is here with other content; CORRUPT and INVALID, naming
   * the member, for what is damaged or no export; INCOMPATIBLE for a newer format.
   */
  importExperiments(options: ImportOptions): Promise<ImportReport>;
}

const shape = z.strictObject({
  from: z.custom(
    (value) =>
      (typeof value === 'string' && value !== '') ||
      (typeof value === 'object' && value !== null && Symbol.asyncIterator in value),
    'must be a path or a stream',
  ),
  signal: signalOption.optional(),
  onProgress: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof ImportOptions, z.ZodType>);

const tellEveryMs = 200;

/** Imports, bound to a scope. */
export function createExperimentImports(scope: Scope): ExperimentImports {
  return {
    async importExperiments(options) {
      checkOptions(shape, options, 'importExperiments');
      await assertAllowed(scope, 'experiment.import', `workspace:${scope.workspace}`);
      await scope.quotas?.assertRoom('runs');
      await scope.quotas?.assertRoom('storage');
      const signal = options.signal ?? new AbortController().signal;
      try {
        signal.throwIfAborted();
        const archive = await openArchive(options.from, { holds: exportHolds, signal });
        try {
          return await importArchive(scope, archive, signal, new Progress(options.onProgress));
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

async function importArchive(
  scope: Scope,
  archive: ArchiveReader,
  signal: AbortSignal,
  progress: Progress,
): Promise<ImportReport> {
  const checked = await checkImport(scope, archive, signal);
  const turn = await takeImportTurn(scope, signal);
  try {
    return await write({ scope, archive, turn, progress }, checked);
  } catch (error) {
    // What the work says of an aborted signal, or why the turn was lost.
    throw turn.signal.aborted && !signal.aborted ? turn.signal.reason : error;
  } finally {
    await turn[Symbol.asyncDispose]();
  }
}

async function write(
  parts: Pick<Writing, 'scope' | 'archive' | 'turn'> & { readonly progress: Progress },
  checked: CheckedImport,
): Promise<ImportReport> {
  const { scope, archive, turn, progress } = parts;
  const { added, skipped } = progress;
  const contentsAt = performance.now();
  await putContents(parts, checked);
  progress.phase = 'records';
  const writing: Writing = {
    ...{ scope, archive, turn, added, skipped, contentsAt },
    tell: () => progress.tell(),
  };
  await inParts(checked.shared.datasets, (some) => restoreLines(writing, some, { keepsOwn: true }));
  const names = await missingNames(scope, checked.shared.metricNames);
  skipped.metricNames += names.skipped;
  await inParts(names.missing, (some) => restoreLines(writing, some));
  for (const path of checked.experiments) {
    const experiment = new ExperimentWriting(writing, path);
    for await (const item of readExperiment(archive, path, checked, turn.signal)) {
      await experiment.item(item);
    }
    await experiment.end();
  }
  progress.tell(true);
  return { added, skipped };
}

/** Contents are read even where they are here already: each byte of the archive is checked. */
async function putContents(
  { scope, archive, turn, progress }: Parameters<typeof write>[0],
  { contents, contentBytes }: CheckedImport,
): Promise<void> {
  const { signal } = turn;
  progress.phase = 'content';
  progress.totalBytes = [...contents].reduce((sum, one) => sum + (contentBytes(one) ?? 0), 0);
  for (const sha256 of contents) {
    signal.throwIfAborted();
    if (await scope.artifacts.keep(sha256)) {
      await archive.verify(contentPath(sha256), signal);
      progress.skipped.contents += 1;
    } else {
      await putContent(scope, archive, sha256, signal);
      progress.added.contents += 1;
    }
    progress.doneBytes += contentBytes(sha256) ?? 0;
    progress.tell();
  }
}

async function inParts<T>(
  all: readonly T[],
  work: (some: readonly T[]) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < all.length; at += 400) await work(all.slice(at, at + 400));
}

/** What an import has done so far. */
class Progress {
  readonly added: ReturnType<typeof emptyTally> = emptyTally();
  readonly skipped: ReturnType<typeof emptyTally> = emptyTally();
  readonly #tell: ((progress: ImportProgress) => void) | undefined;
  phase: ImportProgress['phase'] = 'check';
  doneBytes = 0;
  totalBytes = 0;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(tell: ((progress: ImportProgress) => void) | undefined) {
    this.#tell = tell;
    this.tell(true);
  }

  tell(always = false): void {
    if (this.#tell === undefined) return;
    const now = performance.now();
    if (!always && now - this.#toldAt < tellEveryMs) return;
    this.#toldAt = now;
    const { phase, doneBytes, totalBytes, added, skipped } = this;
    const runs = added.runs + skipped.runs;
    const points = added.points + skipped.points;
    this.#tell({ phase, runs, points, doneBytes, totalBytes });
  }
}
