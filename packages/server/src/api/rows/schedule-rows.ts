import type { DefinitionSummary, Execution, Schedule, Trigger } from '@keelson/core';
import { z } from 'zod';
import type { Route } from '../route.ts';
import { answered, cursor, looseObject, paging, tags, time, whole } from '../schemas.ts';
import { execution, trigger } from './pipeline-rows.ts';

interface DefinitionQuery {
  readonly name?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

interface DefinitionPage {
  readonly definitions: readonly DefinitionSummary[];
  readonly cursor?: string;
}

interface OneSchedule {
  readonly name: string;
}

/** A schedule with the times that come. */
export interface ScheduleView extends Schedule {
  /** The next five, whether it is paused or not; epoch ms. */
  readonly next: readonly number[];
}

const schedule = {
  id: z.string(),
  name: z.string(),
  pipeline: z.string(),
  version: z.string().optional(),
  cron: z.string(),
  timeZone: z.string().optional(),
  catchUp: z.enum(['none', 'latest', 'all']).optional(),
  maxCatchUp: whole.optional(),
  overlap: z.enum(['allow', 'skip']).optional(),
  parameters: looseObject.optional(),
  active: z.boolean(),
  nextAt: time.optional(),
  lastAt: time.optional(),
  lastFailure: looseObject.optional(),
  ofDefinition: z.boolean(),
  createdBy: z.string(),
  createdAt: time,
  revision: whole,
} satisfies Record<keyof Schedule, z.ZodType>;

/** What is stored of pipelines, and what starts them by the clock and by events. */
export const scheduleRows: {
  readonly definitions: Route<DefinitionQuery, DefinitionPage>;
  readonly schedules: Route<
    { readonly pipeline?: string },
    { readonly schedules: readonly ScheduleView[] }
  >;
  readonly allTriggers: Route<
    { readonly pipeline?: string },
    { readonly triggers: readonly Trigger[] }
  >;
  readonly pauseSchedule: Route<OneSchedule, Schedule>;
  readonly resumeSchedule: Route<OneSchedule, Schedule>;
  readonly fireSchedule: Route<OneSchedule, Execution>;
} = {
  definitions: {
    method: 'GET',
    path: '/pipelines',
    summary: 'The definitions that are stored, by name, of each the last first',
    permission: 'pipeline.read',
    query: { name: z.string().optional(), ...paging },
    answers: {
      as: 'json',
      schema: answered<DefinitionPage>('DefinitionPage', {
        definitions: z.array(
          answered<DefinitionSummary>('DefinitionSummary', {
            name: z.string(),
            version: z.string(),
            digest: z.string(),
            description: z.string(),
            steps: whole,
            tags,
            createdBy: z.string(),
            createdAt: time,
          }),
        ),
        cursor,
      }),
    },
    example: { limit: 20 },
    run: ({ services, input }) => services.pipelines.definitions(input),
  },
  schedules: {
    method: 'GET',
    path: '/schedules',
    summary: 'What starts pipelines by the clock, by name, with the times that come',
    permission: 'pipeline.read',
    query: { pipeline: z.string().optional() },
    answers: {
      as: 'json',
      schema: answered<{ readonly schedules: readonly ScheduleView[] }>('Schedules', {
        schedules: z.array(
          answered<ScheduleView>('ScheduleView', { ...schedule, next: z.array(time) }),
        ),
      }),
    },
    example: { pipeline: 'train' },
    async run({ services: { pipelines }, input }) {
      const all = await pipelines.schedules.list(input);
      const views = all.map(async (each) => ({
        ...each,
        next: await pipelines.schedules.next(each.name, 5),
      }));
      return { schedules: await Promise.all(views) };
    },
  },
  allTriggers: {
    method: 'GET',
    path: '/triggers',
    summary: 'What starts pipelines by events and webhooks, by name',
    permission: 'pipeline.read',
    query: { pipeline: z.string().optional() },
    answers: {
      as: 'json',
      schema: answered<{ readonly triggers: readonly Trigger[] }>('AllTriggers', {
        triggers: z.array(trigger),
      }),
    },
    example: {},
    run: async ({ services, input }) => ({
      triggers: await services.pipelines.triggers.list(input),
    }),
  },
  pauseSchedule: {
    method: 'POST',
    path: '/schedules/{name}/pause',
    summary: 'It fires no more until it is resumed',
    permission: 'pipeline.define',
    answers: { as: 'json', schema: answered<Schedule>('Schedule', schedule) },
    example: { name: 'nightly' },
    run: ({ services, input }) => services.pipelines.schedules.pause(input.name),
  },
  resumeSchedule: {
    method: 'POST',
    path: '/schedules/{name}/resume',
    summary: 'It fires from now on; what passed meanwhile is not made up for',
    permission: 'pipeline.define',
    answers: { as: 'json', schema: answered<Schedule>('ResumedSchedule', schedule) },
    example: { name: 'nightly' },
    run: ({ services, input }) => services.pipelines.schedules.resume(input.name),
  },
  fireSchedule: {
    method: 'POST',
    path: '/schedules/{name}/fire',
    summary: 'Starts its pipeline now',
    permission: 'pipeline.run',
    answers: { as: 'json', status: 202, schema: execution },
    example: { name: 'nightly' },
    run: ({ services, input }) => services.pipelines.schedules.fire(input.name),
  },
};
