import { KeelsonError } from '../errors.ts';
import { digestJson } from '../json.ts';
import { resolveType } from './event-catalogue.ts';

/** How long events of a type stay in the log, in ms. */
export type RetentionTime = number | 'forever';

/**
 * Type → time: a type (`step.failed`), all types of a noun (`step.*`), or all others (`*`). The most exact
 * one counts.
 */
export type EventRetention = Readonly<Record<string, RetentionTime>>;

const dayMs = 86_400_000;
const sevenYears = 7 * 366 * dayMs;

/**
 * What holds where users say nothing else: whatever tells who changed what that is in use (models, stages,
 * deployments, routes, incidents) for 7 years, the noise of steps and health for 90 days, the rest for a
 * year. Events of one's own stay for a year too.
 */
const defaultRetention: EventRetention = {
  '*': 365 * dayMs,
  'model.*': sevenYears,
  'promotion.*': sevenYears,
  'alias.*': sevenYears,
  'deployment.*': sevenYears,
  'rollout.*': sevenYears,
  'traffic.*': sevenYears,
  'abtest.*': sevenYears,
  'incident.*': sevenYears,
  'experiment.*': sevenYears,
  'run.deleted': sevenYears,
  'run.restored': sevenYears,
  'audit.*': sevenYears,
  'step.*': 90 * dayMs,
  'prediction.*': 90 * dayMs,
  'component.*': 90 * dayMs,
  'event.*': 90 * dayMs,
};

/** The times of a platform. */
export interface RetentionTimes {
  /** How long events of the type stay. */
  keepMs(type: string): number;
  /** The different times there are, shortest first; those that end. */
  readonly periods: readonly number[];
  /** Another one for other times: what was looked through under them is looked through again. */
  readonly digest: string;
}

/** INVALID for patterns that are none. */
export function retentionTimes(own: EventRetention = {}): RetentionTimes {
  const times = new Map<string, number>();
  for (const [pattern, time] of Object.entries({ ...defaultRetention, ...own })) {
    if (!/^(\*|[a-z][a-z0-9_-]*\.\*|[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+)$/.test(pattern)) {
      throw new KeelsonError(
        'INVALID',
        `The retention of events names ${JSON.stringify(pattern)}; use a type, such as step.failed, or step.*, or *.`,
      );
    }
    times.set(resolveType(pattern), time === 'forever' ? Number.POSITIVE_INFINITY : time);
  }
  const periods = [...new Set(times.values())].filter(Number.isFinite).sort((a, b) => a - b);
  return {
    periods,
    digest: digestJson(Object.fromEntries(times)),
    keepMs: (type) =>
      times.get(type) ??
      times.get(`${type.split('.', 1)[0]}.*`) ??
      times.get('*') ??
      Number.POSITIVE_INFINITY,
  };
}
