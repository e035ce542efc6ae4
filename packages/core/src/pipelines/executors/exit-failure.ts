import type { TaskObservation } from '../../contracts/executor.ts';
import type { FailureClass } from '../definition.ts';
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

/** What a task that failed is thrown as: its class by reason or exit code, and the end of what it wrote. */
export function exitFailure(
  step: string,
  { reason, exitCode, message, error }: TaskObservation,
  lastLines: string,
): Error {
  const thrown = error === undefined ? undefined : thrownAs(error);
  if (thrown !== undefined) return thrown;
  const failure =
    (reason === undefined || reason === 'exit' ? codes[exitCode ?? -1] : reasons[reason]) ??
    'transient';
  const tail = lastLines === '' ? '' : `\n${lastLines}`;
  return new StepError(failure, `Step ${step} failed. ${message ?? ''}${tail}`.trim());
}

/** An error of another process as one of this. */
function thrownAs(error: NonNullable<TaskObservation['error']>): Error {
  const { name, message, stack, code, failure } = error;
  const known = ['transient', 'resource', 'data', 'permanent'].includes(String(failure));
  const made: Error = known
    ? new StepError(failure as FailureClass, String(message))
    : new Error(String(message));
  if (!known) made.name = String(name);
  if (typeof stack === 'string') made.stack = stack;
  if (typeof code === 'string') Object.assign(made, { code });
  return made;
}
