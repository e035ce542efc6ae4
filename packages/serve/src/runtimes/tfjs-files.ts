import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Json, JsonObject } from '@keelson/core';
import type { io } from '@tensorflow/tfjs';
import { ModelFault, messageOf } from './model-fault.ts';
import { modelFile } from './model-files.ts';

/** A model of TF.js, read from its files. */
export interface TfjsFiles {
  readonly isLayers: boolean;
  /** Of a graph model: name → tensor, for both sides. */
  readonly graphSignature:
    | { readonly inputs: JsonObject; readonly outputs: JsonObject }
    | undefined;
  readonly handler: io.IOHandler;
}

/** Reads `file` (a `model.json`) and its weights. ModelFault (FAILED) names the file and the fault. */
export async function readTfjsFiles(directory: string, file: string): Promise<TfjsFiles> {
  const path = await modelFile(directory, file);
  const fail = (name: string, what: string, cause?: unknown): never => {
    throw new ModelFault('FAILED', `Model file ${name} ${what}.`, { cause });
  };
  let model: JsonObject;
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return fail(file, 'holds no object');
    model = value as JsonObject;
  } catch (error) {
    if (error instanceof ModelFault) throw error;
    return fail(file, `cannot be read: ${messageOf(error)}`, error);
  }
  const topology = asObject(model['modelTopology']);
  if (topology === undefined) return fail(file, 'has no topology (modelTopology)');
  const manifest = model['weightsManifest'] ?? [];
  if (!Array.isArray(manifest)) return fail(file, 'has weights that are no list (weightsManifest)');
  const groups = (manifest as readonly Json[]).map((group) => asObject(group) ?? {});
  const shards: Buffer[] = [];
  for (const name of groups.flatMap(({ paths }) => (Array.isArray(paths) ? paths : []))) {
    shards.push(await readFile(await modelFile(directory, join(dirname(file), String(name)))));
  }
  const weights = Buffer.concat(shards);
  const isLayers =
    model['format'] === 'layers-model' ||
    (model['format'] === undefined && ('model_config' in topology || 'config' in topology));
  const signature =
    asObject(model['signature']) ?? asObject(asObject(model['userDefinedMetadata'])?.['signature']);
  const inputs = asObject(signature?.['inputs']);
  const outputs = asObject(signature?.['outputs']);
  const artifacts = {
    ...model,
    modelTopology: topology,
    weightSpecs: groups.flatMap(({ weights: specs }) => (Array.isArray(specs) ? specs : [])),
    weightData: weights.buffer.slice(
      weights.byteOffset,
      weights.byteOffset + weights.byteLength,
    ) as ArrayBuffer,
  };
  return {
    isLayers,
    graphSignature: inputs === undefined || outputs === undefined ? undefined : { inputs, outputs },
    handler: { load: async () => artifacts as unknown as io.ModelArtifacts },
  };
}

function asObject(value: Json | undefined): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : undefined;
}
