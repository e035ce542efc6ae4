import type { Execution } from '../execution.ts';
import type { StepExecution } from '../step-execution.ts';

/** How many items of a fan-out are in which state. */
export interface ItemCounts {
  readonly all: number;
  readonly completed: number;
  readonly running: number;
  readonly failed: number;
  readonly skipped: number;
}

/** One step, as it is shown. */
export interface StepView {
  readonly state: StepExecution;
  readonly items?: ItemCounts;
  /** The last line that it has written. */
  readonly said?: string;
}

/** An execution, as it is shown. */
export interface ExecutionView {
  readonly execution: Execution;
  readonly steps: readonly StepView[];
}

/** The state of a step in a word, as people are told. */
export function stateWord({
  status,
  attempt,
  failures,
  cachedFrom,
  tolerated,
}: StepExecution): string {
  if (status === 'PENDING')
    return attempt > 0 && failures > 0 ? 'waits to be tried again' : 'waits';
  if (status === 'COMPLETED') return cachedFrom === undefined ? 'completed' : 'cached';
  if (status === 'FAILED' && tolerated === true) return 'failed, tolerated';
  return status.toLowerCase();
}

/** From 0 to 1, where it is known: what the step says, or how many items of a fan-out have ended. */
export function shareOf({ state, items }: StepView): number | undefined {
  if (state.status !== 'RUNNING') return undefined;
  if (items === undefined || items.all === 0) return state.progress?.share;
  return (items.completed + items.failed + items.skipped) / items.all;
}

/** How many items are in which state, in words; those that are none are left out. */
export function itemsText({ all, completed, running, failed, skipped }: ItemCounts): string {
  const parts = [
    `${completed} of ${all}`,
    ...(running > 0 ? [`${running} running`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ];
  return parts.join(', ');
}

/** What else there is to say of a step: why it waits or failed, what it has last said. */
export function remarkOf({ state, said }: StepView, now: number): string {
  const { status, failure, waitsFor, readyAt, skipReason, progress } = state;
  switch (status) {
    case 'PENDING': {
      const wait = readyAt === undefined ? 0 : readyAt - now;
      const again = wait > 0 ? `again in ${durationText(wait)}` : '';
      return [again, waitsFor ?? '', failure?.message ?? '']
        .filter((part) => part !== '')
        .join(': ');
    }
    case 'RUNNING':
      return progress?.message ?? said ?? '';
    case 'FAILED':
      return failure?.message ?? '';
    case 'SKIPPED':
    case 'CANCELLED':
      return skipReason ?? '';
    case 'COMPLETED':
      return '';
  }
}

/** Why an execution has ended, where none of its steps says so: its time was up, or somebody has cancelled it. */
export function endingOf({ failure, cancelReason }: Execution): string {
  const own = failure !== undefined && failure.step === undefined ? failure.message : undefined;
  return own ?? cancelReason ?? '';
}

/** A time as people read it: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (n: number): string => String(n).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.floor(whole / 60);
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/** How long a step has taken, or takes until now. */
export function tookMs(
  { startedAt, endedAt, status }: StepExecution,
  now: number,
): number | undefined {
  if (startedAt === undefined || status === 'PENDING') return undefined;
  return (endedAt ?? now) - startedAt;
}
