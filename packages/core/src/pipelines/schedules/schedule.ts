import type { StoredRecord } from '../../contracts/record.ts';
import { digestJson, type JsonObject } from '../../json.ts';
import type { ScheduleDefinition } from '../definition.ts';
import { given } from '../execution.ts';
import { CronTimes } from './cron.ts';

/** A schedule to be put. */
export interface NewSchedule extends ScheduleDefinition {
  /** Unique in the workspace. */
  readonly name: string;
  readonly pipeline: string;
  /** The highest one when left out. */
  readonly version?: string;
}

/** A failure of the last start. */
export interface StartFailure {
  readonly at: number;
  readonly message: string;
}

/** A schedule as it stands. */
export interface Schedule extends NewSchedule {
  readonly id: string;
  readonly active: boolean;
  /** When it fires next; missing when it is paused, or never will. */
  readonly nextAt?: number;
  readonly lastAt?: number;
  /** Why its last time started nothing. */
  readonly lastFailure?: StartFailure;
  /** Whether it is the pipeline's own, put by its definition. */
  readonly ofDefinition: boolean;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly revision: number;
}

/** What a record of kind `pipeline_schedule` says. */
export function scheduleFromRecord(record: StoredRecord): Schedule {
  const { id, columns: c, body, revision, createdAt } = record;
  return {
    id,
    name: c['name'] as string,
    pipeline: c['pipeline'] as string,
    ...(body['schedule'] as unknown as ScheduleDefinition),
    ...given('version', body['version'] as string | undefined),
    active: c['active'] as boolean,
    ...given('nextAt', c['nextAt'] as number | undefined),
    ...given('lastAt', c['lastAt'] as number | undefined),
    ...given('lastFailure', body['lastFailure'] as unknown as StartFailure | undefined),
    ofDefinition: body['ofDefinition'] === true,
    createdBy: c['createdBy'] as string,
    createdAt,
    revision,
  };
}

/** What makes a schedule another one, that begins anew. */
export function scheduleSpec({ cron, timeZone }: ScheduleDefinition): string {
  return digestJson({ cron, timeZone: timeZone ?? 'UTC' });
}

/** The part of it that is a definition's. */
export function scheduleDefinition(schedule: ScheduleDefinition): JsonObject {
  const { cron, timeZone, catchUp, maxCatchUp, overlap, parameters } = schedule;
  return {
    cron,
    ...given('timeZone', timeZone),
    ...given('catchUp', catchUp),
    ...given('maxCatchUp', maxCatchUp),
    ...given('overlap', overlap),
    ...given('parameters', parameters),
  };
}

/** A time that is fired so late was missed. */
const onTimeMs = 60_000;

/** Which of the times that have come are fired, the earliest first, and when the next one is. */
export function dueTimes(
  schedule: Pick<Schedule, 'cron' | 'timeZone' | 'catchUp' | 'maxCatchUp'>,
  nextAt: number,
  now: number,
): { readonly fire: readonly number[]; readonly next: number | undefined } {
  const times = new CronTimes(schedule.cron, schedule.timeZone);
  const { catchUp = 'latest', maxCatchUp = 100 } = schedule;
  const count = catchUp === 'all' ? maxCatchUp : 1;
  const come = times.lastBetween(nextAt, now, count);
  const fire = catchUp === 'none' ? come.filter((time) => now - time <= onTimeMs) : come;
  return { fire, next: times.after(now) };
}
