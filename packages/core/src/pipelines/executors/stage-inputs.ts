import { copyFile, link, mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { encodeJson } from '../../json.ts';
import { inputFailure } from '../input-failure.ts';
import { StepArtifact } from '../step-artifact.ts';
import { directoryType, readDirectory } from './directory-artifact.ts';
import type { InputCache } from './input-cache.ts';
import { type TaskVariables, variableName } from './task-names.ts';

/** Whose inputs are staged, where, and through what. */
export interface Staging {
  readonly step: string;
  readonly dir: string;
  readonly cache: InputCache;
}

/** JSON up to this length passes in a variable too. */
const inlineLength = 4096;

/**
 * Puts the inputs of a step where its task finds them, and says so in variables: for an input `data`,
 * `KEELSON_INPUT_DATA_PATH` is its file (an artifact's bytes, a directory, else the value as JSON, in which
 * artifacts stand as their paths), and `KEELSON_INPUT_DATA` its JSON where that is short. Artifacts in the
 * fields of a value have paths of their own, `KEELSON_INPUT_DATA_<FIELD>_PATH`. Answers the paths by name.
 * A `data` failure, naming the input, for one whose bytes are gone or damaged.
 */
export async function stageInputs(
  inputs: Readonly<Record<string, unknown>>,
  { step, dir, cache }: Staging,
  variables: TaskVariables,
): Promise<Readonly<Record<string, string>>> {
  const staged: Record<string, string> = {};
  const stage = async (name: string, artifact: StepArtifact): Promise<string> => {
    const path = await stageArtifact(artifact, join(dir, name), cache);
    staged[name] = path;
    return path;
  };
  const all = Object.entries(inputs).filter(([, value]) => value !== undefined);
  await Promise.all(
    all.map(([input, value]) =>
      put(input, value).catch((cause: unknown) => {
        throw inputFailure(step, input, cause);
      }),
    ),
  );
  return staged;

  async function put(input: string, value: unknown): Promise<void> {
    const variable = `KEELSON_INPUT_${variableName(input)}`;
    if (value instanceof StepArtifact) {
      variables.setPath(`${variable}_PATH`, await stage(input, value));
      return;
    }
    if (isObject(value)) {
      for (const [field, part] of Object.entries(value)) {
        if (!(part instanceof StepArtifact)) continue;
        const path = await stage(`${input}.${field}`, part);
        variables.setPath(`${variable}_${variableName(field)}_PATH`, path);
      }
    }
    if (Array.isArray(value) && value.length > 0 && value.every(isArtifact)) {
      const list = join(dir, input);
      await mkdir(list, { recursive: true });
      for (const [i, each] of value.entries()) {
        const name = `${String(i).padStart(5, '0')}-${basename(each.name)}`;
        await place(await cache.file(each), join(list, name));
      }
      staged[input] = list;
      variables.setPath(`${variable}_PATH`, list);
      return;
    }
    const text = encodeJson(plain(value), `input ${input}`);
    const path = join(dir, `${input}.json`);
    await writeFile(path, text);
    staged[`${input}.json`] = path;
    variables.setPath(`${variable}_PATH`, path);
    if (text.length <= inlineLength) variables.set(variable, text);
  }
}

async function stageArtifact(
  artifact: StepArtifact,
  path: string,
  cache: InputCache,
): Promise<string> {
  if (artifact.mimeType !== directoryType) return cache.file(artifact);
  await mkdir(path, { recursive: true });
  for (const file of await readDirectory(artifact)) {
    const to = join(path, file.path);
    await mkdir(dirname(to), { recursive: true });
    await place(await cache.file(file), to);
  }
  return path;
}

/** The same bytes under another name, without copying them where the file system can. */
async function place(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'EXDEV' && code !== 'EMLINK' && code !== 'EPERM') throw error;
    await copyFile(from, to);
  }
}

/** Artifacts in a JSON value as what tells of them. */
function plain(value: unknown): unknown {
  if (value instanceof StepArtifact) return { $artifact: value.toJSON() };
  if (Array.isArray(value)) return value.map(plain);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isArtifact(value: unknown): value is StepArtifact {
  return value instanceof StepArtifact;
}
