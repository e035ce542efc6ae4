import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KeelsonError, type Services } from '@keelson/core';
import { ExperimentWriting } from './experiment-writing.ts';
import { openFileStore } from './file-store.ts';
import { type ImportCounts, ImportNotes, type ImportSkip } from './import-notes.ts';
import { RegistryWriting } from './registry-writing.ts';
import { openRestSource } from './rest-source.ts';
import type { Writing } from './run-writing.ts';
import type { MlflowSource, SourceContext } from './source.ts';
import { openSqliteStore } from './sqlite-store.ts';

/** What to import from MLflow. */
export interface MlflowImportOptions {
  /**
   * A directory of MLflow's file store (`mlruns`), or one that holds `mlruns` or `mlflow.db`; a database file of SQLite
   * (`mlflow.db`, `sqlite:///mlflow.db`); or the address of a running server (`http://…`, with name and password where
   * it asks for them).
   */
  readonly from: string;
  /** Directories where artifacts lie, beside those that are found: nothing outside of them is read. */
  readonly artifacts?: readonly string[];
  /** Names or MLflow's ids; all when left out. */
  readonly experiments?: readonly string[];
  /** Whether registered models are imported; true when left out. */
  readonly models?: boolean;
  /** For the server: `{ authorization: 'Bearer …' }`. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Told some times a second, and at the end. */
  readonly onProgress?: (progress: MlflowImportProgress) => void;
}

/** How far an import is. */
export interface MlflowImportProgress {
  /** What is worked on: `experiment first`. */
  readonly at: string;
  readonly added: Readonly<ImportCounts>;
  readonly there: Readonly<ImportCounts>;
}

/** What was imported, and what was not. */
export interface MlflowImportReport {
  readonly from: string;
  readonly added: Readonly<ImportCounts>;
  /** What was here already, from an earlier import. */
  readonly there: Readonly<ImportCounts>;
  /** The first 1,000 of what was left out, each with the reason. */
  readonly skipped: readonly ImportSkip[];
  readonly skippedCount: number;
}

const tellEveryMs = 200;

/**
 * Imports what MLflow has: experiments, runs with params, metrics, tags, datasets and files, logged models, registered
 * models with versions, stages, aliases and tags; deleted ones as deleted. Ids and times of runs are kept.
 *
 * Again is harmless: what is here is not doubled, and an import that was killed goes on where it stopped. Points and
 * files are streamed. What cannot be imported is left out and told of by name; nothing outside the directories that are
 * imported is read. NOT_FOUND, INVALID or UNAVAILABLE where there is no MLflow at all.
 */
export async function importMlflow(
  services: Pick<Services, 'tracking' | 'registry'>,
  options: MlflowImportOptions,
): Promise<MlflowImportReport> {
  const notes = new ImportNotes();
  const signal = options.signal ?? new AbortController().signal;
  const source = await openSource(options, { notes, signal });
  try {
    let at = source.label;
    let toldAt = Number.NEGATIVE_INFINITY;
    const tell = (always = false): void => {
      const now = performance.now();
      if (options.onProgress === undefined || (!always && now - toldAt < tellEveryMs)) return;
      toldAt = now;
      options.onProgress({ at, added: { ...notes.added }, there: { ...notes.there } });
    };
    const writing: Writing = { services, source, notes, signal, tell };
    const experiments = new ExperimentWriting(writing);
    const missing = new Set(options.experiments ?? []);
    for await (const experiment of source.experiments()) {
      signal.throwIfAborted();
      const { id, name } = experiment;
      const isWanted = options.experiments?.some((each) => each === id || each === name) ?? true;
      if (!isWanted) continue;
      missing.delete(id);
      missing.delete(name);
      at = `experiment ${name}`;
      tell();
      await experiments.write(experiment);
    }
    for (const name of missing) notes.skip(`experiment ${name}`, `${source.label} has none`);
    if (options.models !== false) {
      const registry = new RegistryWriting(writing);
      for await (const model of source.models()) {
        at = `model ${model.name}`;
        tell();
        await registry.write(model);
      }
    }
    tell(true);
    const { added, there, skipped, skippedCount } = notes;
    return { from: source.label, added, there, skipped, skippedCount };
  } finally {
    source.close?.();
  }
}

async function openSource(
  { from, artifacts = [], headers = {} }: MlflowImportOptions,
  context: SourceContext,
): Promise<MlflowSource> {
  if (/^https?:\/\//i.test(from)) return openRestSource(from, headers, context);
  const path = resolve(pathOf(from));
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) {
    throw new KeelsonError(
      'NOT_FOUND',
      `There is nothing at ${path}. Name MLflow's directory (mlruns), its database (mlflow.db) or its server (http://…).`,
    );
  }
  if (found.isFile()) return openSqliteStore(path, artifacts, context);
  for (const [below, open] of [
    ['meta.yaml', undefined],
    ['mlflow.db', openSqliteStore],
    ['mlruns', openFileStore],
  ] as const) {
    const isThere = (await stat(join(path, below)).catch(() => undefined)) !== undefined;
    if (isThere && open !== undefined) {
      return open(join(path, below), [join(path, 'mlartifacts'), ...artifacts], context);
    }
  }
  const source = await openFileStore(path, artifacts, context);
  for await (const _ of source.experiments()) return openFileStore(path, artifacts, context);
  throw new KeelsonError(
    'NOT_FOUND',
    `${path} is no directory of MLflow: it has no experiments, no mlruns and no mlflow.db. Name the directory that MLFLOW_TRACKING_URI has.`,
  );
}

function pathOf(from: string): string {
  if (/^sqlite:\/\/\//i.test(from)) return from.slice('sqlite:///'.length);
  if (/^file:/i.test(from)) return fileURLToPath(from);
  const scheme = /^([a-z][a-z0-9+]{2,}):\/\//i.exec(from)?.[1];
  if (scheme === undefined) return from;
  throw new KeelsonError(
    'UNSUPPORTED',
    `A ${scheme} address cannot be imported from directly: name a directory, an SQLite database, or MLflow's server (http://…) in front of it.`,
  );
}
