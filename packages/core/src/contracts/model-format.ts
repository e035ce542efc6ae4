import type { JsonObject } from '../json.ts';
import type { ModelSignature } from './model-runtime.ts';

/** What a version's files are. Pickled files are kept and hashed, never loaded. */
export type ModelFormat =
  | 'ONNX'
  | 'TENSORFLOW'
  | 'PYTORCH'
  | 'SKLEARN'
  | 'XGBOOST'
  | 'PICKLE'
  | 'TFJS'
  | 'JS'
  | 'CUSTOM';

/** A model's files, read in parts: weights of many gigabytes are never in memory as a whole. */
export interface ModelFiles {
  /** Paths are relative to the model's directory, with `/` between their parts. */
  readonly files: readonly { readonly path: string; readonly sizeBytes: number }[];
  /**
   * The bytes from `start` up to, not including, `end`; without a range, the whole file. Exactly as many as were asked for:
   * fewer mean that the file is shorter than `files` says, and readers refuse it as CORRUPT. NOT_FOUND for
   * a path that `files` does not name.
   */
  read(path: string, range?: { readonly start: number; readonly end: number }): Promise<Uint8Array>;
}

/** What is known of a model from its files alone. */
export interface ModelFacts {
  readonly format: ModelFormat;
  /** Left out where the files do not tell what the model takes; `notes` then say so. */
  readonly signature?: ModelSignature;
  /** What made the model, and what reads it. */
  readonly framework?: { readonly name: string; readonly version?: string };
  /** What else the files tell, by the format: producer, opsets, flavours, parameters, missing parts. */
  readonly details: JsonObject;
  /** What could not be read or does not fit together, and why; a sentence each, for people. */
  readonly notes: readonly string[];
}

/**
 * Knows one format. Readers look at content, not only at names, load no code, and hold what they keep in
 * memory and the time they take within bounds, whatever the files claim.
 */
export interface ModelFormatReader {
  readonly name: string;
  /**
   * Whether the files are of this format. True also for files which are of it and damaged, so that `read`
   * can say what is wrong with them.
   */
  detect(files: ModelFiles): Promise<boolean>;
  /** Rejects with CORRUPT for damaged files and INVALID for others that cannot be taken, naming file and fault. */
  read(files: ModelFiles): Promise<ModelFacts>;
}
