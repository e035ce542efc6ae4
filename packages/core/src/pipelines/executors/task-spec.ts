import { basename, join } from 'node:path';
import type { TaskSpec } from '../../contracts/executor.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { encodeJson, type JsonObject } from '../../json.ts';
import type { StepDefinition } from '../definition.ts';
import { given } from '../execution.ts';
import type { StepState } from '../step-execution.ts';
import { moduleLocation } from '../steps/module-loader.ts';
import { lastCheckpoint } from './checkpoint-directory.ts';
import type { ExternalParts, ExternalWork } from './external-work.ts';
import { moduleTask } from './module-values.ts';
import { stageInputs } from './stage-inputs.ts';
import { StagedFiles } from './staged-files.ts';
import { TaskVariables, variableName } from './task-names.ts';
import type { WorkDirectory } from './work-directory.ts';

/** How long a task may take to end once it was told to. */
export const graceMs = 10_000;

/** What executors are given of attempts: their inputs are staged, and what they are told is in variables. */
export function createTaskSpecs(
  scope: Scope,
  parts: ExternalParts,
): (work: ExternalWork, dirs: WorkDirectory) => Promise<TaskSpec> {
  const source = { artifacts: scope.artifacts, ...given('downloads', parts.downloads) };

  return specOf;

  async function specOf(work: ExternalWork, dirs: WorkDirectory): Promise<TaskSpec> {
    const { step, state, execution, attempt } = work;
    const variables = new TaskVariables(step.name);
    const { values } = await work.inputs();
    // A directory of its own: what another staging of the attempt has left may be in use.
    const files = new StagedFiles(join(dirs.inputs, scope.ids.next()), source, work.signal);
    const inputs = await stageInputs(values, step.name, files, variables);
    for (const name of Object.keys(step.outputs ?? {})) {
      variables.setPath(`KEELSON_OUTPUT_${variableName(name)}_PATH`, join(dirs.outputs, name));
    }
    for (const [name, value] of Object.entries(execution.parameters)) {
      const text = typeof value === 'string' ? value : encodeJson(value, name);
      variables.set(`KEELSON_PARAM_${variableName(name)}`, text);
    }
    variables.set('KEELSON_EXECUTION_ID', state.executionId);
    variables.set('KEELSON_PIPELINE', state.pipeline);
    variables.set('KEELSON_STEP', state.step);
    if (state.mapKey !== '') variables.set('KEELSON_ITEM', String(Number(state.mapKey)));
    variables.set('KEELSON_ATTEMPT', String(attempt));
    variables.set('KEELSON_CORRELATION_ID', state.correlationId);
    if (work.run !== undefined) variables.set('KEELSON_RUN_ID', work.run.id);
    if (parts.url !== undefined) variables.set('KEELSON_URL', parts.url);
    variables.setPath('KEELSON_WORK_DIR', dirs.dir);
    variables.setPath('KEELSON_METRICS_PATH', dirs.metricsPath);
    variables.setPath('KEELSON_CHECKPOINT_DIR', dirs.checkpoints);
    const checkpoint = await lastCheckpoint(dirs.checkpoints);
    if (checkpoint !== undefined) variables.setPath('KEELSON_CHECKPOINT_PATH', checkpoint);
    const { distributed } = step;
    return {
      key: taskKey(scope.workspace, state, attempt),
      entry: entryOf(step, parts.modulesRoot),
      env: { ...variables.values, ...step.env },
      pathEnv: variables.paths,
      files: { workDir: dirs.dir, inputs, checkpointDir: dirs.checkpoints },
      input:
        step.run.type === 'module'
          ? ({
              ...(await moduleTask(work, values, dirs, await made(work, checkpoint), files)),
            } as unknown as JsonObject)
          : {},
      resources: work.resources,
      ...(work.devices === undefined ? {} : { devices: work.devices }),
      ...(distributed === undefined
        ? {}
        : { gang: { nodes: distributed.nodes, processesPerNode: distributed.processesPerNode } }),
      graceMs,
      labels: { 'keelson.pipeline': state.pipeline },
    };
  }

  /** The checkpoint, with which attempt made it where the store knows. */
  async function made({ state, attempt }: ExternalWork, path: string | undefined) {
    if (path === undefined) return undefined;
    const kept = attempt === 1 ? [] : await parts.checkpoints.list(state.id);
    const known = kept.find(({ sequence }) => basename(path) === `v${sequence}`);
    return { path, ...given('attempt', known?.attempt) };
  }
}

/** What names an attempt for executors. */
export function taskKey(workspace: string, state: StepState, attempt: number): TaskSpec['key'] {
  const { executionId, step, mapKey } = state;
  return { workspace, executionId, stepId: mapKey === '' ? step : `${step}/${mapKey}`, attempt };
}

function entryOf({ run }: StepDefinition, modulesRoot: string | undefined): TaskSpec['entry'] {
  switch (run.type) {
    case 'command':
      return { type: 'command', command: run.command, ...given('cwd', run.cwd) };
    case 'image': {
      const { image, command, network } = run;
      return { type: 'image', image, ...given('command', command), ...given('network', network) };
    }
    case 'module':
      return {
        type: 'module',
        module: moduleLocation(run.module, modulesRoot),
        export: run.export,
      };
    case 'function':
      throw new KeelsonError('UNSUPPORTED', 'Functions of this process need no executor.');
  }
}
