import { z } from 'zod';
import type { AlertSeverity } from '../rule.ts';
import { type ByLevel, severities } from './levels.ts';

const days = ['MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT', 'SUN'] as const;

/** Hours of a week in a time zone, such as business hours. */
export interface AlertSchedule {
  /** All days when left out. */
  readonly days?: readonly (typeof days)[number][];
  /** `09:00`; the day begins where it is left out. */
  readonly from?: string;
  /** `18:00`, not included; the day ends where it is left out. One before `from` is on the next day. */
  readonly to?: string;
  /** Of the IANA data base, such as `Europe/Berlin`; UTC when left out. */
  readonly timeZone?: string;
}

const clock = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time such as 09:00');

/** How a schedule is checked. */
export const scheduleShape: z.ZodType<AlertSchedule> = z.strictObject({
  days: z.array(z.enum(days)).min(1).optional(),
  from: clock.optional(),
  to: clock.optional(),
  timeZone: z.string().refine(isTimeZone, 'must be a time zone such as Europe/Berlin').optional(),
} satisfies Record<keyof AlertSchedule, z.ZodType>) as z.ZodType<AlertSchedule>;

/** A schedule, or one for each of several levels. */
export const schedulesShape: z.ZodType<AlertSchedule | ByLevel<AlertSchedule>> = z.union(
  [
    scheduleShape,
    z.strictObject({
      WARNING: scheduleShape.optional(),
      CRITICAL: scheduleShape.optional(),
      EMERGENCY: scheduleShape.optional(),
    }),
  ],
  "must be hours of a week such as { days: ['MON', 'TUE'], from: '09:00', to: '18:00', timeZone: 'Europe/Berlin' }, or these by level",
) as z.ZodType<AlertSchedule | ByLevel<AlertSchedule>>;

/** The schedule of a level; none where it is told at any time. */
export function scheduleAt(
  schedule: AlertSchedule | ByLevel<AlertSchedule> | undefined,
  severity: AlertSeverity,
): AlertSchedule | undefined {
  if (schedule === undefined) return undefined;
  const isByLevel = severities.some((level) => level in schedule);
  return isByLevel ? (schedule as ByLevel<AlertSchedule>)[severity] : (schedule as AlertSchedule);
}

function isTimeZone(name: string): boolean {
  try {
    return Intl.DateTimeFormat('en', { timeZone: name }) !== undefined;
  } catch {
    return false;
  }
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Whether a time lies within the schedule. */
export function isWithin(schedule: AlertSchedule, at: number): boolean {
  const { day, minute } = localTime(at, schedule.timeZone ?? 'UTC');
  const from = minutesOf(schedule.from ?? '00:00');
  const to = schedule.to === undefined ? 1440 : minutesOf(schedule.to);
  const has = (index: number): boolean =>
    schedule.days === undefined || schedule.days.includes(days[(index + 7) % 7] as 'MON');
  if (from < to) return has(day) && minute >= from && minute < to;
  // Over midnight: it belongs to the day on which it began.
  return (has(day) && minute >= from) || (has(day - 1) && minute < to);
}

const minuteMs = 60_000;

/** The first minute from `at` on that lies within the schedule; undefined where none of the next eight days does. */
export function nextWithin(schedule: AlertSchedule, at: number): number | undefined {
  if (isWithin(schedule, at)) return at;
  const first = Math.floor(at / minuteMs) * minuteMs;
  // Quarters of an hour, in which no zone changes; then the minute.
  for (let quarter = first; quarter < at + 8 * 1440 * minuteMs; quarter += 15 * minuteMs) {
    if (!isWithin(schedule, quarter) && !isWithin(schedule, quarter + 15 * minuteMs)) continue;
    for (let minute = quarter; minute <= quarter + 15 * minuteMs; minute += minuteMs) {
      if (minute > at && isWithin(schedule, minute)) return minute;
    }
  }
  return undefined;
}

function localTime(
  at: number,
  timeZone: string,
): { readonly day: number; readonly minute: number } {
  let format = formats.get(timeZone);
  if (format === undefined) {
    const options = { weekday: 'short', hour: '2-digit', minute: '2-digit' } as const;
    format = new Intl.DateTimeFormat('en-GB', { timeZone, hourCycle: 'h23', ...options });
    formats.set(timeZone, format);
  }
  const parts = Object.fromEntries(
    format.formatToParts(at).map(({ type, value }) => [type, value]),
  );
  const day = days.indexOf(String(parts['weekday']).toUpperCase() as 'MON');
  return { day, minute: Number(parts['hour']) * 60 + Number(parts['minute']) };
}

function minutesOf(time: string): number {
  const [hour = '0', minute = '0'] = time.split(':');
  return Number(hour) * 60 + Number(minute);
}
