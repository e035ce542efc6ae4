import { assertObject } from '../../check-options.ts';
import { KeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';
import type { Execution } from '../execution.ts';
import { assertKnown } from '../known-options.ts';
import type { CronTimes } from './cron.ts';
import type { Schedule } from './schedule.ts';

/** Which times are made up for, and how. */
export interface BackfillOptions {
  readonly from: number | Date;
  /** Not included. */
  readonly to: number | Date;
  /** Beside the schedule's own, and `scheduledAt` where the pipeline has it. */
  readonly parameters?: (at: number) => JsonObject;
  /** How many run at once; 1 when left out. */
  readonly maxParallel?: number;
  /** A word of your own by which times that have run before run once more. */
  readonly again?: string;
  /** Aborting it starts no more (ABORTED); what runs goes on. */
  readonly signal?: AbortSignal;
  /** Called when a time's execution has ended. */
  readonly onProgress?: (progress: BackfillProgress) => void;
}

/** How far a backfill is. */
export interface BackfillProgress {
  readonly at: number;
  readonly execution: Execution;
  readonly done: number;
  readonly total: number;
}

/** What a backfill has come to. */
export interface Backfill {
  readonly times: number;
  /** The executions, by time. */
  readonly executions: readonly Execution[];
  readonly failed: number;
}

const maxTimes = 100_000;

/** Starts and awaits an execution for each time. */
export async function runBackfill(
  schedule: Schedule,
  times: CronTimes,
  options: BackfillOptions,
  parts: {
    readonly start: (
      at: number,
      parameters: JsonObject | undefined,
      again: string | undefined,
    ) => Promise<Execution>;
    readonly wait: (id: string, signal: AbortSignal | undefined) => Promise<Execution>;
  },
): Promise<Backfill> {
  assertObject(options, 'schedules.backfill');
  const known = ['from', 'to', 'parameters', 'maxParallel', 'again', 'signal', 'onProgress'];
  assertKnown(options, known, 'schedules.backfill');
  const { maxParallel = 1, signal, again, parameters, onProgress } = options;
  if (!Number.isInteger(maxParallel) || maxParallel < 1 || maxParallel > 1000) {
    throw new KeelsonError('INVALID', 'maxParallel of a backfill must be from 1 to 1,000.');
  }
  const all = timesBetween(
    times,
    timeOf(options.from, 'from'),
    timeOf(options.to, 'to'),
    schedule.name,
  );
  const executions: Execution[] = [];
  let done = 0;
  const open = all.entries();
  const worker = async (): Promise<void> => {
    for (const [i, at] of open) {
      if (signal?.aborted) {
        throw new KeelsonError(
          'ABORTED',
          `The backfill of ${schedule.name} was aborted after ${done} of ${all.length} times.`,
          { cause: signal.reason },
        );
      }
      const { id } = await parts.start(at, parameters?.(at), again);
      const execution = await parts.wait(id, signal);
      executions[i] = execution;
      done += 1;
      onProgress?.({ at, execution, done, total: all.length });
    }
  };
  await Promise.all(Array.from({ length: maxParallel }, worker));
  const failed = executions.filter(({ status }) => status !== 'COMPLETED').length;
  return { times: all.length, executions, failed };
}

function timesBetween(times: CronTimes, from: number, to: number, name: string): readonly number[] {
  const all: number[] = [];
  for (let at = times.after(from - 1000); at !== undefined && at < to; at = times.after(at)) {
    if (at >= from) all.push(at);
    if (all.length > maxTimes) {
      throw new KeelsonError(
        'INVALID',
        `Schedule ${name} has more than ${maxTimes} times in this range; take a shorter one.`,
      );
    }
  }
  return all;
}

function timeOf(value: number | Date, name: string): number {
  const at = value instanceof Date ? value.getTime() : value;
  if (Number.isSafeInteger(at)) return at;
  throw new KeelsonError('INVALID', `${name} of a backfill must be a time, as Date or epoch ms.`);
}
