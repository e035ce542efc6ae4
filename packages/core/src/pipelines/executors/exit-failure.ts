import { statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { TaskObservation } from '../../contracts/executor.ts';
import type { FailureClass, StepDefinition } from '../definition.ts';
import type { ArtifactFacts } from '../step-artifact.ts';
import { StepError } from '../step-policy.ts';

/** Exit codes that say which kind of failure it was: those of sysexits.h, and of the shell. */
const codes: Readonly<Record<number, FailureClass>> = {
  64: 'permanent',
  65: 'data',
  66: 'data',
  69: 'transient',
  73: 'resource',
  74: 'transient',
  75: 'transient',
  77: 'permanent',
  78: 'permanent',
  126: 'permanent',
  127: 'permanent',
};

const reasons: Readonly<Partial<Record<NonNullable<TaskObservation['reason']>, FailureClass>>> = {
  oom: 'resource',
  deadline: 'transient',
  evicted: 'transient',
  node_lost: 'transient',
  image: 'permanent',
  unschedulable: 'resource',
  engine: 'transient',
};

/**
 * What a task that failed is thrown as: its class by reason or exit code, and the end of what it wrote. A command
 * that names a file as it lies in the directory of this process, but runs elsewhere, is told so.
 */
export function exitFailure(
  { name: step, run }: Pick<StepDefinition, 'name' | 'run'>,
  { reason, exitCode, message, error }: TaskObservation,
  lastLines: string,
  artifacts: readonly ArtifactFacts[] = [],
): Error {
  const thrown = error === undefined ? undefined : thrownAs(error, artifacts);
  if (thrown !== undefined) return thrown;
  const failure =
    (reason === undefined || reason === 'exit' ? codes[exitCode ?? -1] : reasons[reason]) ??
    'transient';
  const tail = lastLines === '' ? '' : `\n${lastLines}`;
  const hint = run.type === 'command' && run.cwd === undefined ? misplaced(run.command) : '';
  return new StepError(failure, `Step ${step} failed. ${message ?? ''}${hint}${tail}`.trim());
}

function misplaced(command: readonly string[]): string {
  const here = process.cwd();
  const file = command.slice(1).find((each) => isFileBelow(here, each));
  if (file === undefined) return '';
  return ` It ran in a directory of its own, without the ${file} of ${here}: name the file by its whole path, or say cwd.`;
}

function isFileBelow(dir: string, name: string): boolean {
  if (name === '' || name.startsWith('-') || isAbsolute(name)) return false;
  return statSync(join(dir, name), { throwIfNoEntry: false })?.isFile() === true;
}

/** An error of another process as one of this. */
function thrownAs(
  error: NonNullable<TaskObservation['error']>,
  artifacts: readonly ArtifactFacts[],
): Error {
  const { name, message, stack, code, failure } = error;
  const known = ['transient', 'resource', 'data', 'permanent'].includes(String(failure));
  const made: Error = known
    ? new StepError(failure as FailureClass, String(message), { artifacts })
    : new Error(String(message));
  if (!known) made.name = String(name);
  if (typeof stack === 'string') made.stack = stack;
  if (typeof code === 'string') Object.assign(made, { code });
  return made;
}
