import { z } from 'zod';
import { assertObject } from '../../check-options.ts';
import type { Loop } from '../../contracts/loop.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { asJson, type Json, type JsonObject } from '../../json.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { ownerFromText, ownerState, ownerText } from '../../process-owner.ts';
import { undeclaredFaults } from '../declared-parameters.ts';
import type { PipelineDefinition } from '../definition.ts';
import { type Execution, given } from '../execution.ts';
import { column, equals } from '../execution-records.ts';
import type { StartOptions } from '../start-execution.ts';
import { classifyFailure } from '../step-policy.ts';
import { type Backfill, type BackfillOptions, runBackfill } from './backfill.ts';
import { CronTimes } from './cron.ts';
import { createNamedRecords } from './named-records.ts';
import {
  dueTimes,
  type NewSchedule,
  type Schedule,
  scheduleDefinition,
  scheduleFromRecord,
  scheduleSpec,
} from './schedule.ts';

/** Starts pipelines by the clock. */
export interface Schedules {
  /**
   * Makes a schedule or changes it; one whose times changed begins anew from now. INVALID, naming it, for a
   * cron expression or a time zone that is none, and for parameters that the pipeline does not declare; NOT_FOUND for a pipeline that is not stored.
   */
  put(schedule: NewSchedule): Promise<Schedule>;
  /** NOT_FOUND when there is none. */
  get(name: string): Promise<Schedule>;
  /** By name. */
  list(options?: { readonly pipeline?: string }): Promise<readonly Schedule[]>;
  /** It fires no more, until it is resumed. */
  pause(name: string): Promise<Schedule>;
  /** It fires from now on; what passed meanwhile is not made up for. */
  resume(name: string): Promise<Schedule>;
  remove(name: string): Promise<void>;
  /** The next times, whether it is paused or not: 10 when left out, 1,000 at most. */
  next(name: string, count?: number): Promise<readonly number[]>;
  /** Starts its pipeline now, as MANUAL. */
  fire(name: string): Promise<Execution>;
  /**
   * Starts its pipeline for each of its times from `from` up to (not including) `to`, the earliest first, so many at
   * once, each once only, however often it is asked: also where the schedule itself has fired. Resolves when
   * all have ended.
   */
  backfill(name: string, options: BackfillOptions): Promise<Backfill>;
}

/** What schedules need. */
export interface ScheduleParts {
  readonly start: (
    pipeline: string,
    parameters: JsonObject,
    options: StartOptions,
  ) => Promise<Execution>;
  readonly definition: (pipeline: string, version?: string) => Promise<PipelineDefinition>;
  readonly wait: (id: string, signal: AbortSignal | undefined) => Promise<Execution>;
}

const kind = 'pipeline_schedule';
const leaseMs = 30_000;

const shape = z.strictObject({
  name: z.string().min(1).max(255),
  pipeline: z.string().min(1).max(255),
  version: z.string().optional(),
  cron: z.string().min(1).max(255),
  timeZone: z.string().min(1).max(100).optional(),
  catchUp: z.enum(['none', 'latest', 'all']).optional(),
  maxCatchUp: z.number().int().min(1).max(10_000).optional(),
  overlap: z.enum(['allow', 'skip']).optional(),
  parameters: z.record(z.string(), z.unknown()).optional(),
});

/** Schedules of the scope's workspace. */
export function createSchedules(
  scope: Scope,
  parts: ScheduleParts,
): {
  readonly schedules: Schedules;
  readonly loop: Loop;
  /** Puts a stored definition's own schedule, or ends it where it has none. */
  follow(definition: PipelineDefinition): Promise<void>;
} {
  const { metadata, workspace, clock } = scope;

  const named = createNamedRecords<Schedule>(scope, {
    ...{ kind, noun: 'schedule', maxName: 255 },
    fromRecord: scheduleFromRecord,
  });

  async function put(schedule: NewSchedule, ofDefinition: boolean): Promise<Schedule> {
    const times = new CronTimes(schedule.cron, schedule.timeZone);
    const spec = scheduleSpec(schedule);
    const body: JsonObject = {
      schedule: asJson(scheduleDefinition(schedule)),
      ofDefinition,
      ...given('version', schedule.version),
    };
    return named.put(schedule, (there) => {
      const anew = there?.columns['spec'] !== spec;
      const nextAt = anew ? times.after(clock.now()) : there?.columns['nextAt'];
      return { columns: { active: there?.columns['active'] ?? true, spec, nextAt }, body };
    });
  }

  function setActive(name: string, active: boolean): Promise<Schedule> {
    return named.setActive(name, active, ({ cron, timeZone }) => ({
      nextAt: active ? new CronTimes(cron, timeZone).after(clock.now()) : undefined,
    }));
  }

  async function parametersAt(schedule: Schedule, at: number): Promise<JsonObject> {
    const { parameters: declared } = await parts.definition(schedule.pipeline, schedule.version);
    const properties = (declared?.['properties'] ?? {}) as Readonly<Record<string, unknown>>;
    return {
      ...(Object.hasOwn(properties, 'scheduledAt') ? { scheduledAt: at } : {}),
      ...schedule.parameters,
    };
  }

  async function startAt(
    schedule: Schedule,
    at: number,
    more: { readonly parameters?: JsonObject; readonly key?: string } = {},
  ): Promise<Execution> {
    const parameters = { ...(await parametersAt(schedule, at)), ...more.parameters };
    return parts.start(schedule.pipeline, parameters, {
      ...given('version', schedule.version),
      trigger: 'SCHEDULED',
      idempotencyKey: more.key ?? keyAt(schedule, at),
      tags: {
        'keelson.schedule': schedule.name,
        'keelson.scheduledAt': new Date(at).toISOString(),
      },
    });
  }

  async function isRunning({ id, pipeline }: Schedule): Promise<boolean> {
    const { records } = await metadata.query(workspace, 'execution', {
      where: {
        op: 'and',
        of: [
          equals('pipeline', pipeline),
          { op: 'in', left: column('status'), values: ['PENDING', 'RUNNING'] },
        ],
      },
      limit: 1000,
    });
    return records.some(({ columns }) =>
      String(columns['idempotencyKey'] ?? '').startsWith(`schedule:${id}:`),
    );
  }

  /**
   * Fires what has come of one schedule that is held; what a kill interrupts, the next one repeats. Once the signal
   * is aborted, what has not been fired stays due: there may be a thousand of them.
   */
  async function fireDue(schedule: Schedule, hold: Hold, signal: AbortSignal): Promise<void> {
    const now = clock.now();
    const { fire, next } = dueTimes(schedule, schedule.nextAt ?? now, now);
    let lastFailure: JsonObject | undefined;
    const fired: number[] = [];
    for (const at of fire) {
      if (signal.aborted) break;
      if (schedule.overlap === 'skip' && (await isRunning(schedule))) break;
      try {
        await startAt(schedule, at);
      } catch (error) {
        if (classifyFailure(error) === 'transient') throw error;
        lastFailure = { at: now, message: String((error as Error).message).slice(0, 2000) };
        const fields = { component: 'pipelines', schedule: schedule.name, error };
        scope.logger.warn(
          fields,
          `Schedule ${schedule.name} could not start ${schedule.pipeline}: ${lastFailure['message']}`,
        );
      }
      fired.push(at);
    }
    const left = signal.aborted ? fire[fired.length] : undefined;
    const there = await metadata.find(workspace, kind, schedule.id);
    if (there === undefined || there.revision !== schedule.revision) return;
    const { lastFailure: _, ...body } = there.body;
    const kept = fire.length === 0 ? there.body : body;
    await commitChanges(scope, [
      { op: 'hold', kind, id: schedule.id, owner: hold.owner, fence: hold.fence },
      {
        ...{ op: 'replace', kind, id: schedule.id, expect: there.revision },
        columns: {
          nextAt: left ?? next,
          ...given('lastAt', left === undefined ? fire.at(-1) : fired.at(-1)),
        },
        body: { ...kept, ...given('lastFailure', lastFailure as Json | undefined) } as JsonObject,
      },
    ]);
  }

  async function runOnce(signal: AbortSignal): Promise<boolean> {
    const where: Predicate = {
      op: 'and',
      of: [
        equals('active', true),
        { op: 'compare', left: column('nextAt'), cmp: '<=', value: clock.now() },
      ],
    };
    // Claiming writes; while nothing is due it is only looked.
    const due = await metadata.query(workspace, kind, { where, limit: 1 });
    if (due.records.length === 0) return false;
    const owners = await metadata.claimOwners(kind, workspace);
    const [claimed] = await metadata.claim(kind, {
      ...{ workspace, where, limit: 1, owner: ownerText(), leaseMs },
      orderBy: [{ by: column('nextAt'), direction: 'asc' }],
      takeFrom: owners.filter((owner) => ownerState(ownerFromText(owner)) === 'dead'),
    });
    if (claimed === undefined) return false;
    try {
      await fireDue(scheduleFromRecord(claimed.record), claimed, signal);
    } catch (error) {
      // Changed, removed or fired by somebody else meanwhile.
      if (!isKeelsonError(error, 'STALE', 'LOST', 'NOT_FOUND')) throw error;
    } finally {
      const { owner, fence, record: held } = claimed;
      await metadata.release([{ workspace, kind, id: held.id, owner, fence }]);
    }
    return true;
  }

  const schedules: Schedules = {
    async put(asked) {
      const schedule = checked(asked);
      const { parameters } = await parts.definition(schedule.pipeline, schedule.version);
      assertUsable(undeclaredFaults(parameters, schedule.parameters));
      return put(schedule, false);
    },

    get: named.get,

    list: async (options = {}) => named.list(assertObject(options, 'schedules.list').pipeline),

    pause: (name) => setActive(name, false),
    resume: (name) => setActive(name, true),
    remove: named.remove,

    async next(name, count = 10) {
      if (!Number.isInteger(count) || count < 1 || count > 1000) {
        throw new KeelsonError('INVALID', 'Ask for 1 to 1,000 times of a schedule.');
      }
      const schedule = await named.get(name);
      return new CronTimes(schedule.cron, schedule.timeZone).next(count, clock.now());
    },

    async fire(name) {
      const schedule = await named.get(name);
      const now = clock.now();
      return parts.start(schedule.pipeline, await parametersAt(schedule, now), {
        ...given('version', schedule.version),
        trigger: 'MANUAL',
        tags: { 'keelson.schedule': schedule.name },
      });
    },

    async backfill(name, options) {
      const schedule = await named.get(name);
      const times = new CronTimes(schedule.cron, schedule.timeZone);
      return runBackfill(schedule, times, options, {
        wait: parts.wait,
        start: (at, parameters, again) =>
          startAt(schedule, at, {
            ...given('parameters', parameters),
            ...(again === undefined ? {} : { key: `${keyAt(schedule, at)}:${again}` }),
          }),
      });
    },
  };

  return {
    schedules,
    loop: { name: 'schedules', idleMs: 500, runOnce },

    async follow(definition) {
      const { name, schedule } = definition;
      if (schedule !== undefined) {
        await put({ ...schedule, name, pipeline: name }, true);
        return;
      }
      const there = await named.find(name);
      if (there !== undefined && scheduleFromRecord(there).ofDefinition) {
        await named.remove(name).catch((error: unknown) => {
          if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
        });
      }
    },
  };
}

interface Hold {
  readonly owner: string;
  readonly fence: number;
}

/** The same for whoever fires it, so that a time starts once. */
function keyAt({ id }: Schedule, at: number): string {
  return `schedule:${id}:${at}`;
}

function checked(asked: NewSchedule): NewSchedule {
  const parsed = shape.safeParse(assertObject(asked, 'schedules.put'));
  if (parsed.success) return asked;
  assertUsable(parsed.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`));
  return asked;
}

function assertUsable(faults: readonly string[]): void {
  if (faults.length === 0) return;
  throw new KeelsonError('INVALID', `This schedule cannot be used: ${faults.join('; ')}.`, {
    details: { faults },
  });
}
