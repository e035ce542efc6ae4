import type { Incident, QuotaUse, RecoveryAttempt, ServiceLevel } from '@keelson/core';
import { z } from 'zod';
import type { Route } from '../route.ts';
import { answered, looseObject, time, whole } from '../schemas.ts';
import { timeOf, timeText } from '../time-text.ts';

/** How the platform is run: what was mended, how available parts were, what is used up, what went wrong. */
export const operationsRows: {
  readonly recoveries: Route<
    { readonly check?: string; readonly limit?: number },
    { readonly recoveries: readonly RecoveryAttempt[] }
  >;
  readonly serviceLevels: Route<
    { readonly since?: string },
    { readonly serviceLevels: readonly ServiceLevel[] }
  >;
  readonly quotas: Route<object, { readonly quotas: readonly QuotaUse[] }>;
  readonly incidents: Route<
    { readonly state?: Incident['state']; readonly limit?: number },
    { readonly incidents: readonly Incident[] }
  >;
} = {
  recoveries: {
    method: 'GET',
    path: '/health/recoveries',
    summary: 'Attempts to mend faults, newest first',
    permission: 'health.read',
    query: {
      check: z.string().optional(),
      limit: z.number().int().min(1).max(1000).describe('100 when left out').optional(),
    },
    answers: {
      as: 'json',
      schema: answered<{ readonly recoveries: readonly RecoveryAttempt[] }>('Recoveries', {
        recoveries: z.array(
          answered<RecoveryAttempt>('RecoveryAttempt', {
            id: z.string(),
            check: z.string(),
            recovery: z.string(),
            attempt: whole,
            outcome: z.string(),
            message: z.string(),
            startedAt: time,
            endedAt: time.optional(),
          }),
        ),
      }),
    },
    example: { limit: 10 },
    run: async ({ services, input }) => ({
      recoveries: await services.operations.recoveries(input),
    }),
  },
  serviceLevels: {
    method: 'GET',
    path: '/health/service-levels',
    summary: 'How available each part was, and the error budget that is left',
    permission: 'health.read',
    query: { since: z.string().describe(`30 days ago when left out. ${timeText}`).optional() },
    answers: {
      as: 'json',
      schema: answered<{ readonly serviceLevels: readonly ServiceLevel[] }>('ServiceLevels', {
        serviceLevels: z.array(
          answered<ServiceLevel>('ServiceLevel', {
            part: z.string(),
            goal: z.number(),
            probes: whole,
            bad: whole,
            availability: z.number().optional(),
            errorBudgetLeft: z.number().optional(),
          }),
        ),
      }),
    },
    example: { since: '2024-01-01' },
    run: async ({ services, input: { since } }) => ({
      serviceLevels: await services.operations.serviceLevels(
        since === undefined ? {} : { since: timeOf('since', since) },
      ),
    }),
  },
  quotas: {
    method: 'GET',
    path: '/quotas',
    summary: 'What the workspace may use up, what of it is used, and when it will be full',
    permission: 'quota.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly quotas: readonly QuotaUse[] }>('Quotas', {
        quotas: z.array(
          answered<QuotaUse>('QuotaUse', {
            resource: z.string(),
            used: z.number(),
            limit: z.number(),
            per: z.enum(['day', 'month']).optional(),
            overdraft: z.number(),
            fullAt: time.optional(),
          }),
        ),
      }),
    },
    example: {},
    run: async ({ services }) => ({ quotas: await services.operations.quotas.list() }),
  },
  incidents: {
    method: 'GET',
    path: '/incidents',
    summary: 'What went wrong, newest first',
    permission: 'health.read',
    query: {
      state: z.enum(['OPEN', 'RESOLVED']).optional(),
      limit: z.number().int().min(1).max(1000).describe('100 when left out').optional(),
    },
    answers: {
      as: 'json',
      schema: answered<{ readonly incidents: readonly Incident[] }>('Incidents', {
        incidents: z.array(looseObject as never),
      }),
    },
    example: { state: 'OPEN' },
    run: async ({ services, input }) => ({
      incidents: await services.operations.incidents.list(input),
    }),
  },
};
