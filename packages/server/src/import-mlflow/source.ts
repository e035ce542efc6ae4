import type { ImportNotes } from './import-notes.ts';

/** An experiment of MLflow's. */
export interface SourceExperiment {
  readonly id: string;
  readonly name: string;
  readonly lifecycle: 'active' | 'deleted';
  readonly tags: Texts;
  /** Epoch ms. */
  readonly createdAt: number | undefined;
}

/** Keys → texts. */
export type Texts = Readonly<Record<string, string>>;

/** How a run of MLflow's ended, or that it has not. */
export type SourceStatus = 'RUNNING' | 'SCHEDULED' | 'FINISHED' | 'FAILED' | 'KILLED';

/** A run of MLflow's, without its points and files. */
export interface SourceRun {
  readonly id: string;
  readonly name: string | undefined;
  readonly user: string | undefined;
  readonly status: SourceStatus;
  readonly startedAt: number | undefined;
  readonly endedAt: number | undefined;
  readonly lifecycle: 'active' | 'deleted';
  readonly artifactUri: string | undefined;
  readonly params: Texts;
  readonly tags: Texts;
  readonly metricKeys: readonly string[];
  readonly datasets: readonly SourceDataset[];
  /** Logged models that went into it. */
  readonly inputModels: readonly string[];
  /** Logged models that it made. */
  readonly outputModels: readonly { readonly modelId: string; readonly step: number }[];
}

/** Data that a run has used, as MLflow tells of it. */
export interface SourceDataset {
  readonly name: string;
  readonly digest: string;
  readonly source_type: string;
  readonly source: string;
  readonly schema: string | undefined;
  readonly profile: string | undefined;
  readonly tags: Texts;
}

/** One point of a metric. */
export interface SourcePoint {
  readonly value: number;
  readonly step: number;
  /** Epoch ms. */
  readonly timestamp: number;
}

/** A point of a logged model's metric. */
export interface SourceModelPoint extends SourcePoint {
  readonly key: string;
  readonly runId: string | undefined;
  readonly datasetName: string | undefined;
  readonly datasetDigest: string | undefined;
}

/** A model that was logged, before it is registered (MLflow 3). */
export interface SourceLoggedModel {
  readonly id: string;
  readonly name: string;
  readonly modelType: string | undefined;
  readonly status: 'PENDING' | 'READY' | 'FAILED';
  readonly runId: string | undefined;
  readonly artifactUri: string | undefined;
  readonly params: Texts;
  readonly tags: Texts;
  readonly metrics: readonly SourceModelPoint[];
}

/** A registered model with all of its versions. */
export interface SourceModel {
  readonly name: string;
  readonly description: string | undefined;
  readonly tags: Texts;
  /** Alias → number of the version. */
  readonly aliases: Texts;
  /** By number ascending. */
  readonly versions: readonly SourceVersion[];
}

/** A version of a registered model. */
export interface SourceVersion {
  readonly number: number;
  readonly source: string;
  /** Where its files really lie, where that is another place. */
  readonly storage: string | undefined;
  readonly stage: string;
  readonly description: string | undefined;
  readonly runId: string | undefined;
  readonly runLink: string | undefined;
  readonly modelId: string | undefined;
  readonly createdAt: number | undefined;
  readonly tags: Texts;
}

/** A file among the artifacts of a run or of a logged model. */
export interface SourceFile {
  /** Below the artifacts; as it was found, not checked. */
  readonly path: string;
  readonly sizeBytes: number | undefined;
  open(): Promise<ReadableStream<Uint8Array>>;
}

/** Whose files: a run's or a logged model's. */
export interface FilesOwner {
  readonly kind: 'run' | 'model';
  readonly id: string;
  readonly experimentId: string;
  readonly artifactUri: string | undefined;
}

/**
 * Something that MLflow has written, read piece by piece. What cannot be read, or is not to be trusted, is left out and
 * told to the notes by its name; what makes all of it unreadable rejects.
 */
export interface MlflowSource {
  /** How people call it. */
  readonly label: string;
  /** Deleted ones too. */
  experiments(): AsyncIterable<SourceExperiment>;
  /** Of an experiment, deleted ones too, those first that others may be nested in. */
  runs(experiment: SourceExperiment): AsyncIterable<SourceRun>;
  loggedModels(experiment: SourceExperiment): AsyncIterable<SourceLoggedModel>;
  /** In an order that stays: what is added later comes at the end. In lists of bounded length. */
  points(
    experiment: SourceExperiment,
    runId: string,
    key: string,
  ): AsyncIterable<readonly SourcePoint[]>;
  files(owner: FilesOwner): AsyncIterable<SourceFile>;
  models(): AsyncIterable<SourceModel>;
  /** What it holds open. */
  readonly close?: () => void;
}

/** What every source is opened with. */
export interface SourceContext {
  readonly notes: ImportNotes;
  readonly signal: AbortSignal;
}

/** So many points are read at a time. */
export const pointsAtOnce = 10_000;

/** A number of milliseconds, or steps; undefined for what is none. */
export function integerIn(text: string | number | null | undefined): number | undefined {
  if (text === undefined || text === null || text === '') return undefined;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : undefined;
}

/** As Python writes numbers. */
export function pythonNumber(text: string): number | undefined {
  const lower = text.toLowerCase();
  const special: Readonly<Record<string, number>> = {
    ...{ nan: Number.NaN, '-nan': Number.NaN, inf: Infinity, '+inf': Infinity, '-inf': -Infinity },
    ...{ infinity: Infinity, '-infinity': -Infinity },
  };
  if (Object.hasOwn(special, lower)) return special[lower];
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/.test(lower)) return undefined;
  return Number(lower);
}
