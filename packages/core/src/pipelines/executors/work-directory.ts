import { chmod, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { StepState } from '../step-execution.ts';

/** Where the files of an attempt lie. */
export interface WorkDirectory {
  /** The attempt's own, written by its task. */
  readonly dir: string;
  /** One file or directory for each output. */
  readonly outputs: string;
  /** What is made of its inputs. */
  readonly inputs: string;
  readonly metricsPath: string;
  /** Shared by the attempts of the step. */
  readonly checkpoints: string;
  /** How much of the metrics file has been read for good. */
  readonly offsetPath: string;
  /** What the orchestrator notes beside, which the task does not see. */
  readonly notes: string;
}

/** The directory of an attempt below a root: named after what it belongs to, safe whatever the names are. */
export function workDirectory(
  root: string,
  workspace: string,
  { executionId, step, mapKey }: Pick<StepState, 'executionId' | 'step' | 'mapKey'>,
  attempt: number,
): WorkDirectory {
  const item = mapKey === '' ? step : join(step, mapKey);
  const base = join(root, encodeURIComponent(workspace), executionId, item);
  const dir = join(base, `a${attempt}`);
  const notes = join(base, `a${attempt}.notes`);
  return {
    dir,
    outputs: join(dir, 'out'),
    inputs: join(notes, 'in'),
    metricsPath: join(dir, 'metrics.jsonl'),
    checkpoints: join(base, 'checkpoints'),
    offsetPath: join(notes, 'metrics.offset'),
    notes,
  };
}

/** Makes it; what is there already stays. */
export async function makeWorkDirectory(work: WorkDirectory): Promise<void> {
  await mkdir(work.outputs, { recursive: true });
  await mkdir(work.inputs, { recursive: true });
  await mkdir(work.checkpoints, { recursive: true });
  // A task may run as another user than the one who reads what it has written.
  for (const path of [work.dir, work.outputs, work.checkpoints]) await chmod(path, 0o777);
}

/** Removes what an attempt has left; with `whole` the step's checkpoints too. */
export async function removeWorkDirectory(work: WorkDirectory, whole: boolean): Promise<void> {
  const gone = whole ? [dirname(work.dir)] : [work.dir, work.notes];
  for (const path of gone) await rm(path, { recursive: true, force: true });
}
