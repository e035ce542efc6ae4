import { z } from 'zod';
import {
  type ArchiveTarget,
  ArchiveWriter,
  type MemberSink,
} from '../../archive/archive-writer.ts';
import { encodeRecordLine } from '../../archive/record-lines.ts';
import { checkOptions, signalOption } from '../../check-options.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { assertAllowed } from '../../operations/decide-and-commit.ts';
import { everyRecord } from '../../operations/every-record.ts';
import { moved } from '../../operations/moving-records.ts';
import { contentPath, datasetsPath } from '../../tracking/export-layout.ts';
import { hasNoRecord } from '../lineage-edges.ts';
import { findModel } from '../model-records.ts';
import { exportModel } from './export-model.ts';
import { modelsHold } from './models-layout.ts';
import { emptyModelTally, type MovedModelCounts } from './moved-model-counts.ts';
import type { NamedContent } from './named-contents.ts';

/** What to export, and where to. */
export interface ModelExportOptions {
  /**
   * A directory, a `.tar` or `.tar.gz` file (nothing may be there yet), or a stream that gets a tar. The
   * export is there as a whole or not at all.
   */
  readonly to: ArchiveTarget;
  /** Names, deleted models too; all models when left out. */
  readonly models?: readonly string[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ModelExportProgress) => void;
}

/** How far an export is. */
export interface ModelExportProgress {
  readonly phase: 'records' | 'content';
  readonly models: number;
  readonly versions: number;
  /** Of the content phase. */
  readonly writtenBytes: number;
  readonly totalBytes: number;
}

/** Ids of what is referred to and is not in an archive: how many, and the first 1,000. */
export interface OutsideNodes {
  readonly count: number;
  readonly ids: readonly string[];
}

/** What was exported. */
export interface ModelExportReport extends MovedModelCounts {
  /** Of all files of the export together. */
  readonly sizeBytes: number;
  /** What versions came of and the export has not: runs, executions, commits, versions of other models. Their ids stay. */
  readonly outside: OutsideNodes;
  /** Contents that could not be read and were left out, of versions that are FAILED. */
  readonly damaged: readonly { readonly sha256: string; readonly versionId: string }[];
}

/** Takes models out of a registry. */
export interface ModelExports {
  /**
   * Writes models with all of their versions (deleted ones too), aliases, policies, transitions with checks
   * and approvals, signatures, cards, validation suites and reports, the edges of their lineage, the kept
   * history of all of it, their audit chains with the events that these attest, and every content, as
   * `docs/export-format.md` describes: each model as of one moment, and what is stored alike gives equal
   * bytes. CORRUPT, naming it, for content that is not what it was; CONFLICT when there is something at the
   * target; STALE while effects of a transition are running.
   */
  exportModels(options: ModelExportOptions): Promise<ModelExportReport>;
}

const shape = z.strictObject({
  to: z.custom(
    (value) => (typeof value === 'string' && value !== '') || value instanceof WritableStream,
    'must be a path or a WritableStream',
  ),
  models: z.array(z.string()).min(1).optional(),
  signal: signalOption.optional(),
  onProgress: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof ModelExportOptions, z.ZodType>);

const named = 1_000;
/** Most that `findMany` takes. */
const mostIds = 1_000;
const tellEveryMs = 200;

/** Exports, bound to a scope. */
export function createModelExports(scope: Scope): ModelExports {
  async function idOf(name: string): Promise<string> {
    const record = await findModel(scope, name);
    if (record !== undefined) return record.id;
    throw new KeelsonError('NOT_FOUND', `There is no model ${JSON.stringify(name)}.`, {
      details: { model: name },
    });
  }

  async function* selected(names: readonly string[] | undefined, signal: AbortSignal) {
    if (names === undefined) {
      for await (const { id } of everyRecord(scope, 'model', { signal })) yield id;
      return;
    }
    const ids = new Set<string>();
    for (const name of names) ids.add(await idOf(name));
    yield* ids;
  }

  return {
    async exportModels(options) {
      checkOptions(shape, options, 'exportModels');
      const { to, models, signal = new AbortController().signal } = options;
      for (const name of models ?? []) await assertAllowed(scope, 'model.export', `model:${name}`);
      if (models === undefined) {
        await assertAllowed(scope, 'model.export', `workspace:${scope.workspace}`);
      }
      try {
        signal.throwIfAborted();
        const writer = await ArchiveWriter.begin(to, modelsHold);
        try {
          const exporting = new Exporting(scope, writer, options.onProgress);
          for await (const id of selected(models, signal)) {
            await exportModel(scope, id, exporting, signal);
          }
          return await exporting.finish(signal);
        } finally {
          await writer[Symbol.asyncDispose]();
        }
      } catch (error) {
        if (!signal.aborted) throw error;
        throw new KeelsonError('ABORTED', 'The export was aborted; nothing was left behind.', {
          cause: error,
        });
      }
    },
  };
}

class Exporting {
  readonly writer: ArchiveWriter;
  readonly #scope: Scope;
  readonly #tell: ((progress: ModelExportProgress) => void) | undefined;
  readonly #counts = emptyModelTally();
  readonly #contents = new Set<string>();
  readonly #damaged: { sha256: string; versionId: string }[] = [];
  readonly #nodes = new Set<string>();
  readonly #versions = new Set<string>();
  #toldAt = 0;

  constructor(
    scope: Scope,
    writer: ArchiveWriter,
    tell: ((progress: ModelExportProgress) => void) | undefined,
  ) {
    this.#scope = scope;
    this.writer = writer;
    this.#tell = tell;
  }

  content({ sha256, sizeBytes }: NamedContent): void {
    if (this.#contents.has(sha256)) return;
    this.#contents.add(sha256);
    const { artifacts } = this.#scope;
    this.writer.content({
      path: contentPath(sha256),
      sizeBytes,
      sha256,
      async *open(signal) {
        yield* await artifacts.open(sha256, undefined, signal);
      },
    });
  }

  damaged(sha256: string, versionId: string): void {
    if (this.#damaged.length < named) this.#damaged.push({ sha256, versionId });
  }

  node(id: string): void {
    this.#nodes.add(id);
  }

  version(id: string): void {
    this.#versions.add(id);
  }

  counted(what: keyof MovedModelCounts, count: number): void {
    this.#counts[what] += count;
    this.#progress('records', 0, 0);
  }

  async finish(signal: AbortSignal): Promise<ModelExportReport> {
    const nodes = [...this.#nodes].filter((id) => !this.#versions.has(id)).toSorted();
    const datasets = await this.#datasets(nodes);
    const { sizeBytes } = await this.writer.finish(signal, (done, total) =>
      this.#progress('content', done, total),
    );
    const outside = nodes.filter((id) => !datasets.has(id) && !hasNoRecord(id));
    return {
      ...this.#counts,
      datasets: datasets.size,
      contents: this.#contents.size,
      sizeBytes,
      outside: { count: outside.length, ids: outside.slice(0, named) },
      damaged: this.#damaged,
    };
  }

  /** Writes those of the nodes that are datasets: what they are called, and the digests that are asked for. */
  async #datasets(nodes: readonly string[]): Promise<ReadonlySet<string>> {
    const { metadata, workspace } = this.#scope;
    const written = new Set<string>();
    let member: MemberSink | undefined;
    for (let at = 0; at < nodes.length; at += mostIds) {
      const ids = nodes.slice(at, at + mostIds);
      const found = await metadata.findMany(workspace, 'dataset', ids);
      for (const record of found.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
        member ??= await this.writer.member(datasetsPath);
        await member.write(Buffer.from(encodeRecordLine({ record: moved(record) })));
        written.add(record.id);
      }
    }
    await member?.close();
    return written;
  }

  #progress(phase: ModelExportProgress['phase'], writtenBytes: number, totalBytes: number): void {
    if (this.#tell === undefined) return;
    const now = performance.now();
    const last = phase === 'content' && writtenBytes === totalBytes;
    if (!last && now - this.#toldAt < tellEveryMs) return;
    this.#toldAt = now;
    const { models, versions } = this.#counts;
    this.#tell({ phase, models, versions, writtenBytes, totalBytes });
  }
}
