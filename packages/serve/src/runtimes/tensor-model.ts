import type { Json, JsonObject, ModelSignature, Tensor } from '@keelson/core';
import type { ModelManifest } from './model-manifest.ts';

/** A loaded model behind tensors: inputs in the signature's order in, outputs in its order out. */
export interface TensorModel {
  /**
   * As many output rows as input rows. ModelFault: INVALID for inputs that the model cannot take, FAILED for answers that
   * contradict the signature; whatever the model itself throws.
   */
  predict(
    inputs: readonly Tensor[],
    rowCount: number,
    parameters: Readonly<Record<string, Json>>,
  ): readonly Tensor[] | Promise<readonly Tensor[]>;
  unload(): Promise<void>;
  /** What the runtime found out while it loaded, such as the execution provider really used. */
  readonly facts?: JsonObject;
}

/** What a runtime is given to load. */
export interface ModelRequest {
  readonly directory: string;
  readonly signature: ModelSignature;
  readonly manifest: ModelManifest;
  /** Those of the runtime, checked by it. */
  readonly options: Readonly<Record<string, Json>>;
}
