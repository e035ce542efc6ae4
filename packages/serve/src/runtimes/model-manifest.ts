import { readFile, realpath } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { Json } from '@keelson/core';
import { ModelFault, messageOf } from './model-fault.ts';

/** The name of the manifest within a model's directory. */
const manifestFile = 'keelson-model.json';

/** What `keelson-model.json` may say; without the file, these defaults hold. */
export interface ModelManifest {
  /** Only `javascript` so far. */
  readonly runtime: 'javascript';
  /** The ES module, relative to the directory; `model.mjs`. */
  readonly module: string;
  /** Whether BYTES inputs reach the model as texts (others are refused, the default) or always as bytes. */
  readonly bytes: 'text' | 'raw';
  /**
   * Inputs to run before a replica counts as ready, each a map of input name to flat or nested values of one or more
   * rows; `false` for none, `synthetic` (the default) for zeros and empty texts by the signature.
   */
  readonly warmUp: 'synthetic' | false | readonly { readonly [input: string]: Json }[];
}

const defaults: ModelManifest = {
  runtime: 'javascript',
  module: 'model.mjs',
  bytes: 'text',
  warmUp: 'synthetic',
};

/** Reads the manifest of a model's directory. ModelFault (FAILED) names the file and the fault. */
export async function readManifest(directory: string): Promise<ModelManifest> {
  let text: string;
  try {
    text = await readFile(join(directory, manifestFile), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return defaults;
    throw new ModelFault('FAILED', `${manifestFile} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ModelFault('FAILED', `${manifestFile} is no JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return checkManifest(value);
}

function checkManifest(value: unknown): ModelManifest {
  const fail = (what: string): never => {
    throw new ModelFault('FAILED', `${manifestFile}: ${what}.`);
  };
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    fail('expected an object');
  const fields = value as Readonly<Record<string, unknown>>;
  for (const key of Object.keys(fields)) {
    if (!Object.hasOwn(defaults, key))
      fail(`unknown key "${key}"; known are ${Object.keys(defaults).join(', ')}`);
  }
  const { runtime, module, bytes, warmUp } = { ...defaults, ...fields };
  if (runtime !== 'javascript') fail('"runtime" must be "javascript"');
  if (typeof module !== 'string' || module === '') fail('"module" must be the path of a file');
  if (bytes !== 'text' && bytes !== 'raw') fail('"bytes" must be "text" or "raw"');
  const declared =
    Array.isArray(warmUp) &&
    warmUp.every((item) => typeof item === 'object' && item !== null && !Array.isArray(item));
  if (warmUp !== false && warmUp !== 'synthetic' && !declared) {
    fail('"warmUp" must be "synthetic", false or a list of { input: values }');
  }
  return { runtime, module, bytes, warmUp };
}

/** The real path of a file of the model, which must lie within its directory. */
export async function modelFile(directory: string, file: string): Promise<string> {
  let path: string;
  let root: string;
  try {
    root = await realpath(directory);
    path = await realpath(join(root, file));
  } catch (error) {
    throw new ModelFault('FAILED', `Model file ${file} is missing in ${directory}.`, {
      cause: error,
    });
  }
  const inside = relative(root, path);
  if (inside.startsWith(`..${sep}`) || inside === '..' || inside === '') {
    throw new ModelFault(
      'FAILED',
      `Model file ${file} lies outside the model's directory ${directory}.`,
    );
  }
  return path;
}
