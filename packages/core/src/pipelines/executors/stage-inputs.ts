import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { encodeJson } from '../../json.ts';
import { StepArtifact } from '../step-artifact.ts';
import { inputFailure } from '../steps/input-failure.ts';
import { directoryType, readDirectory } from './directory-artifact.ts';
import type { StagedFiles } from './staged-files.ts';
import { type TaskVariables, variableName } from './task-names.ts';

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
  step: string,
  files: StagedFiles,
  variables: TaskVariables,
): Promise<Readonly<Record<string, string>>> {
  const { dir } = files;
  await mkdir(dir, { recursive: true });
  const staged: Record<string, string> = {};
  const stage = async (name: string, artifact: StepArtifact): Promise<string> => {
    const path = await stageArtifact(artifact, join(dir, name), files);
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
      for (const [i, each] of value.entries()) {
        const name = `${String(i).padStart(5, '0')}-${basename(each.name)}`;
        await files.fileAt(each, join(list, name));
      }
      staged[input] = list;
      variables.setPath(`${variable}_PATH`, list);
      return;
    }
    const text = encodeJson(plain(value), `input ${input}`);
    const path = join(dir, `${input}.json`);
    await writeFile(path, text, { mode: 0o444, flag: 'wx' });
    staged[`${input}.json`] = path;
    variables.setPath(`${variable}_PATH`, path);
    if (text.length <= inlineLength) variables.set(variable, text);
  }
}

async function stageArtifact(
  artifact: StepArtifact,
  path: string,
  files: StagedFiles,
): Promise<string> {
  if (artifact.mimeType !== directoryType) return files.file(artifact);
  await mkdir(path, { recursive: true });
  for (const file of await readDirectory(artifact)) {
    await files.fileAt(file, join(path, file.path));
  }
  return path;
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
