import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Json } from '@keelson/core';
import { ModelFault, messageOf } from './model-fault.ts';

/** The name of the manifest within a model's directory. */
const manifestFile = 'keelson-model.json';

/**
 * What runs before a replica counts as ready: `synthetic` (zeros and empty texts by the signature), nothing, or inputs
 * that are declared, each a map of input name to flat or nested values of one or more rows.
 */
export type WarmUpInputs = 'synthetic' | false | readonly { readonly [input: string]: Json }[];

/** What `keelson-model.json` may say; without the file, these defaults hold. */
export interface ModelManifest {
  /** What runs the model: `javascript`, `onnx` or `tfjs`; when left out, what its version's format says. */
  readonly runtime?: string;
  /** The ES module of a model in JavaScript, relative to the directory; `model.mjs`. */
  readonly module: string;
  /** The file of a model of another format, where there are several. */
  readonly file?: string;
  /** Whether BYTES inputs reach a model in JavaScript as texts (others are refused, the default) or always as bytes. */
  readonly bytes: 'text' | 'raw';
  /** `synthetic` when left out. */
  readonly warmUp: WarmUpInputs;
}

const defaults: ModelManifest = { module: 'model.mjs', bytes: 'text', warmUp: 'synthetic' };
const known: readonly string[] = ['runtime', 'module', 'file', 'bytes', 'warmUp'];

/**
 * Reads the manifest of a model's directory. ModelFault (FAILED) names the file and the fault, which may be that
 * another runtime than `runtime` is to run the model.
 */
export async function readManifest(
  directory: string,
  runtime: string | undefined,
): Promise<ModelManifest> {
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
  return checkManifest(value, runtime);
}

function checkManifest(value: unknown, runs: string | undefined): ModelManifest {
  const fail = (what: string): never => {
    throw new ModelFault('FAILED', `${manifestFile}: ${what}.`);
  };
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    fail('expected an object');
  const fields = value as Readonly<Record<string, unknown>>;
  for (const key of Object.keys(fields)) {
    if (!known.includes(key)) fail(`unknown key "${key}"; known are ${known.join(', ')}`);
  }
  const { runtime, module, file, bytes, warmUp } = { ...defaults, ...fields };
  if (runtime !== undefined && runs !== undefined && runtime !== runs)
    fail(`"runtime" is ${JSON.stringify(runtime)}, and the version is run by ${runs}`);
  if (typeof module !== 'string' || module === '') fail('"module" must be the path of a file');
  if (file !== undefined && (typeof file !== 'string' || file === ''))
    fail('"file" must be the path of a file');
  if (bytes !== 'text' && bytes !== 'raw') fail('"bytes" must be "text" or "raw"');
  return {
    module,
    bytes,
    warmUp: checkWarmUp(warmUp, `${manifestFile}: "warmUp"`),
    ...(file === undefined ? {} : { file }),
  };
}

/** `value` as what runs to warm up. ModelFault (FAILED), by the name `what`, when it is not. */
export function checkWarmUp(value: unknown, what: string): WarmUpInputs {
  if (value === false || value === 'synthetic') return value;
  const declared =
    Array.isArray(value) &&
    value.every((item) => typeof item === 'object' && item !== null && !Array.isArray(item));
  if (declared) return value;
  throw new ModelFault(
    'FAILED',
    `${what} must be "synthetic", false or a list of { input: values }.`,
  );
}
