import { lstat, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { ArtifactSpace } from '../../contracts/artifact-store.ts';
import type { ModuleTask } from '../../contracts/module-task.ts';
import { asJson, type Json, type JsonObject } from '../../json.ts';
import {
  type ArtifactFacts,
  artifactsIn,
  packValue,
  StepArtifact,
  unpackValue,
} from '../step-artifact.ts';
import { StepError } from '../step-policy.ts';
import { inputFailure } from '../steps/input-failure.ts';
import type { OutputSink } from '../steps/output-sink.ts';
import type { ExternalWork } from './external-work.ts';
import type { StagedFiles } from './staged-files.ts';
import type { WorkDirectory } from './work-directory.ts';

/** What a module's export is called with, where it runs. */
export async function moduleTask(
  work: ExternalWork,
  values: Readonly<Record<string, unknown>>,
  dirs: WorkDirectory,
  checkpoint: { readonly path: string; readonly attempt?: number } | undefined,
  staged: StagedFiles,
): Promise<ModuleTask> {
  const { state, step } = work;
  const inputs = asJson(packValue(values), 'The inputs') as JsonObject;
  const files = Object.entries(inputs).flatMap(([input, value]) =>
    artifactsIn(value as Json).map(async (artifact) => {
      try {
        return [artifact.sha256, await staged.file(artifact)] as const;
      } catch (cause) {
        throw inputFailure(step.name, input, cause);
      }
    }),
  );
  return {
    parameters: work.execution.parameters,
    inputs,
    artifacts: Object.fromEntries(await Promise.all(files)),
    attempt: work.attempt,
    executionId: state.executionId,
    step: state.step,
    correlationId: state.correlationId,
    ...(state.mapKey === '' ? {} : { item: Number(state.mapKey) }),
    ...(step.repeat === undefined ? {} : { iteration: state.iteration ?? 1 }),
    outputDir: dirs.outputs,
    metricsPath: dirs.metricsPath,
    checkpointDir: dirs.checkpoints,
    ...(checkpoint === undefined ? {} : { checkpointPath: checkpoint.path }),
    ...(checkpoint?.attempt === undefined ? {} : { checkpointAttempt: checkpoint.attempt }),
  };
}

/** What a module has returned, its files as artifacts of the store. */
export async function moduleValue(
  output: JsonObject | undefined,
  dirs: WorkDirectory,
  outputs: OutputSink,
  space: ArtifactSpace,
): Promise<unknown> {
  if (output === undefined) {
    throw new StepError('transient', 'The process has ended with 0 and left no result.');
  }
  return taken(output['value'] ?? null, dirs, outputs, space);
}

/** What a module that failed wants kept of its attempt; of what cannot be kept nothing is said. */
export async function moduleArtifacts(
  error: JsonObject | undefined,
  dirs: WorkDirectory,
  outputs: OutputSink,
  space: ArtifactSpace,
): Promise<readonly ArtifactFacts[]> {
  const wanted = Array.isArray(error?.['artifacts']) ? error['artifacts'] : [];
  const kept = await Promise.allSettled(wanted.map((each) => taken(each, dirs, outputs, space)));
  return kept.flatMap((each) =>
    each.status === 'fulfilled' && each.value instanceof StepArtifact ? [each.value] : [],
  );
}

async function taken(
  value: Json,
  dirs: WorkDirectory,
  outputs: OutputSink,
  space: ArtifactSpace,
): Promise<unknown> {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    return Promise.all(value.map((each) => taken(each, dirs, outputs, space)));
  }
  const fields = value as JsonObject;
  if (Object.keys(fields).length === 1) {
    if (fields['$artifact'] !== undefined) return unpackValue(fields, space);
    const file = fields['$output'] as JsonObject | undefined;
    if (file !== undefined) {
      const { name, mimeType } = file as { readonly name: string; readonly mimeType?: string };
      const path = await ownFile(dirs, name);
      return outputs.artifact(name, { path }, mimeType === undefined ? {} : { mimeType });
    }
  }
  const parts = Object.entries(fields).map(async ([key, part]) => {
    const name = /^\$\$+(artifact|output)$/.test(key) ? key.slice(1) : key;
    return [name, await taken(part as Json, dirs, outputs, space)] as const;
  });
  return Object.fromEntries(await Promise.all(parts));
}

/** The file of an output: below the directory of outputs, with no link on the way. */
async function ownFile({ outputs }: WorkDirectory, name: string): Promise<string> {
  const dir = await realpath(outputs);
  const path = join(dir, name);
  const own = path.startsWith(`${dir}${sep}`) && (await realpath(path)) === path;
  if (own && (await lstat(outputs)).isDirectory() && (await lstat(path)).isFile()) return path;
  throw new StepError(
    'data',
    `The output ${JSON.stringify(name)} of a module must be a file of its own, not a link or what one leads to (${path}).`,
  );
}
