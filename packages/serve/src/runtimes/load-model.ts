import type { Json, ModelSignature } from '@keelson/core';
import { checkWarmUp, readManifest } from './model-manifest.ts';
import { type RuntimeName, registeredRuntime } from './runtime-registry.ts';
import type { TensorModel } from './tensor-model.ts';
import { warmUp } from './warm-up.ts';

/** What a replica loads, and by which runtime; crosses to threads and processes as it is. */
export interface ModelToLoad {
  readonly directory: string;
  readonly signature: ModelSignature;
  readonly runtime: RuntimeName;
  /** Of the runtime; `warmUp` here outranks what the model's manifest says. */
  readonly options: Readonly<Record<string, Json>>;
  /** The most rows that a call will have: each size class up to it is warmed. */
  readonly warmUpRows: number;
}

/** Loads a model and warms it up. ModelFault, naming the file and what is wrong with it. */
export async function loadModel(given: ModelToLoad): Promise<TensorModel> {
  const { directory, signature, runtime, warmUpRows } = given;
  const { warmUp: declared, ...options } = given.options;
  const manifest = await readManifest(directory, runtime);
  const inputs =
    declared === undefined ? manifest.warmUp : checkWarmUp(declared, 'option "warmUp"');
  const model = await registeredRuntime(runtime).load({ directory, signature, manifest, options });
  try {
    await warmUp(model, signature, inputs, warmUpRows);
  } catch (error) {
    await model.unload();
    throw error;
  }
  return model;
}
