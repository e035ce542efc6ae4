import type { TaskObservation } from '@keelson/core';
import type { TaskFacts } from './task-labels.ts';

/** What the engine tells of a container, as far as it matters here. */
export interface ContainerFacts {
  readonly Id: string;
  /** The digest of its image. */
  readonly Image: string;
  readonly Created: string;
  readonly Config: {
    readonly Labels: Readonly<Record<string, string>> | null;
    readonly StopSignal?: string;
  };
  readonly State: {
    readonly Status:
      | 'created'
      | 'running'
      | 'paused'
      | 'restarting'
      | 'removing'
      | 'exited'
      | 'dead';
    readonly OOMKilled: boolean;
    readonly ExitCode: number;
    readonly Error: string;
    readonly StartedAt: string;
    readonly FinishedAt: string;
  };
}

/** What a container has come to. */
export function observationOf(
  { State, Image }: ContainerFacts,
  facts: TaskFacts,
  node: string,
): TaskObservation {
  const startedAt = timeOf(State.StartedAt);
  const common = { node, image: Image, ...(startedAt === undefined ? {} : { startedAt }) };
  switch (State.Status) {
    case 'created':
      return State.Error === ''
        ? { ...common, state: 'starting' }
        : { ...common, ...neverBegan(State.ExitCode, State.Error) };
    case 'running':
    case 'paused':
    case 'restarting':
      return { ...common, state: 'running' };
    default: {
      const finishedAt = timeOf(State.FinishedAt) ?? startedAt ?? 0;
      return {
        ...common,
        // The engine notes the start after the end of what is very short.
        ...(startedAt === undefined ? {} : { startedAt: Math.min(startedAt, finishedAt) }),
        finishedAt,
        ...exitOf({ exitCode: State.ExitCode, isOom: State.OOMKilled, error: State.Error }, facts),
      };
    }
  }
}

/** How a container ended, by its exit code and what the engine says beside. */
export function exitOf(
  end: { readonly exitCode: number; readonly isOom: boolean; readonly error: string },
  { memoryBytes }: TaskFacts,
): Pick<TaskObservation, 'state' | 'exitCode' | 'reason' | 'message'> {
  const { exitCode, isOom, error } = end;
  if (isOom && exitCode !== 0) {
    const limit = memoryBytes === undefined ? '' : ` It was given ${mebibytes(memoryBytes)}.`;
    const message = `It was killed for using more memory than there is.${limit}`;
    return { state: 'failed', exitCode, reason: 'oom', message };
  }
  if (exitCode === 0) return { state: 'succeeded', exitCode };
  if (exitCode === 137 || exitCode === 143) {
    const signal = exitCode === 137 ? 'SIGKILL' : 'SIGTERM';
    const message = `It was ended by ${signal}, which was not sent from here: by somebody else, or with its engine.`;
    return { state: 'lost', exitCode, reason: 'evicted', message };
  }
  const message = error === '' ? exitText(exitCode) : `${exitText(exitCode)} ${error}`;
  return { state: 'failed', exitCode, reason: 'exit', message };
}

/** A container that the engine could not start. */
function neverBegan(
  exitCode: number,
  error: string,
): Pick<TaskObservation, 'state' | 'exitCode' | 'reason' | 'message' | 'finishedAt'> {
  const message = `The engine could not start it: ${error}`;
  // 126 and 127 are the engine's own for a command that cannot be executed, or is not in the image.
  if (exitCode === 126 || exitCode === 127) {
    return { state: 'failed', exitCode, reason: 'exit', message };
  }
  return { state: 'failed', exitCode, reason: 'engine', message };
}

function exitText(code: number): string {
  if (code === 126) return 'It ended with exit code 126: the command cannot be executed.';
  if (code === 127) return 'It ended with exit code 127: the command was not found.';
  if (code > 128 && code < 160) return `It was ended by signal ${code - 128}.`;
  return `It ended with exit code ${code}.`;
}

/** The engine's zero time is none. */
export function timeOf(text: string | undefined): number | undefined {
  const at = Date.parse(text ?? '');
  return Number.isNaN(at) || at <= 0 ? undefined : at;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
