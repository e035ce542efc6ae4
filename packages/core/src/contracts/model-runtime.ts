import type { Json, JsonObject } from '../json.ts';

/** Element types of tensors, by the names of the Open Inference Protocol. */
export type Datatype =
  | 'BOOL'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'FP16'
  | 'BF16'
  | 'FP32'
  | 'FP64'
  | 'BYTES';

/** What a model takes or gives under one name; −1 is a free dimension, the first one being rows. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** The number of dimensions is open as well; `shape` is empty then. Not said of a scalar, whose shape is empty too. */
  readonly unranked?: true;
  /** Names of the columns of a two-dimensional tensor, where it is a table. */
  readonly columns?: readonly string[];
}

/** What a value is that need not be a tensor. */
export interface ValueSpec {
  readonly type:
    | 'boolean'
    | 'integer'
    | 'number'
    | 'text'
    | 'binary'
    | 'time'
    | 'list'
    | 'map'
    | 'object'
    | 'any';
  /** Its element type as a tensor, where it has one; says how wide integers and numbers are. */
  readonly datatype?: Datatype;
  /** The elements of a list, the values of a map. */
  readonly items?: ValueSpec;
  /** The fields of an object. */
  readonly fields?: readonly ColumnSpec[];
}

/** A column of a table, or a field of an object. */
export interface ColumnSpec extends ValueSpec {
  /** Absent where only the place counts. */
  readonly name?: string;
  /** Whether every row must have it. */
  readonly required: boolean;
}

/**
 * Input and output schema of a model version. A side is described as tensors, as columns of a table, or by
 * a JSON Schema; one that is not described as tensors has none, and runtimes that take tensors refuse it.
 * Where a side is described in several ways, each holds.
 */
export interface ModelSignature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly inputColumns?: readonly ColumnSpec[];
  readonly outputColumns?: readonly ColumnSpec[];
  readonly inputSchema?: JsonObject;
  readonly outputSchema?: JsonObject;
}

/** The elements of a tensor in row-major order; BYTES as texts or bytes. */
export type TensorData =
  | Float64Array
  | Float32Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint32Array
  | Uint16Array
  | Uint8Array
  | BigInt64Array
  | BigUint64Array
  | readonly (string | Uint8Array)[];

/** A named tensor. */
export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** The rows of one or several requests, which share names, datatypes and row shapes. */
export interface InferenceBatch {
  readonly inputs: readonly Tensor[];
  readonly parameters?: Readonly<Record<string, Json>>;
}

/** A loaded model. */
export interface LoadedModel {
  /** As many output rows as input rows, or the call has failed. */
  predict(
    batch: InferenceBatch,
    options: { readonly signal?: AbortSignal; readonly deadlineAt?: number },
  ): Promise<readonly Tensor[]>;
  health(): Promise<{ readonly ok: boolean; readonly message?: string }>;
  unload(): Promise<void>;
}

/** What a runtime loads: a model's files in a local directory, or the address of a server. */
export type ModelSource =
  | { readonly directory: string }
  | { readonly endpoint: string; readonly headers?: Readonly<Record<string, string>> };

/**
 * Turns a version's files into predictions. `load` rejects with FAILED, naming the file and what is wrong with it,
 * INVALID for a signature that the files contradict, UNAVAILABLE for a server that does not answer.
 */
export interface ModelRuntime {
  readonly name: string;
  /** What a hanging or crashing model can take down with it. */
  readonly isolation: 'none' | 'thread' | 'process' | 'remote';
  load(
    source: ModelSource,
    signature: ModelSignature,
    config: Readonly<Record<string, Json>>,
  ): Promise<LoadedModel>;
}
