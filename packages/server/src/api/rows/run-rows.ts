import type {
  Run,
  RunChange,
  RunPage,
  RunRevision,
  RunSearch,
  RunStatus,
  StartRunOptions,
} from '@keelson/core';
import { z } from 'zod';
import type { Route } from '../route.ts';
import {
  answered,
  asked,
  exampleRun,
  exampleRun2,
  looseObject,
  paging,
  tags,
  time,
  whole,
} from '../schemas.ts';
import { thresholds } from './experiment-rows.ts';
import { figures, type OneRun, run, runPage, runStatus } from './run-schemas.ts';

/** How a run begins over HTTP: what this server runs on is not captured for it. */
export type StartRun = Pick<
  StartRunOptions,
  | 'experiment'
  | 'name'
  | 'description'
  | 'params'
  | 'tags'
  | 'parentRunId'
  | 'sourceType'
  | 'thresholds'
  | 'id'
>;

/** What to look for. */
export type SearchRuns = Omit<RunSearch, 'signal'>;

/** How a run ends, or goes on. */
export interface SetRunStatus {
  /** `FINISHED` is another word for `COMPLETED`; `RUNNING` reopens one that has ended. */
  readonly status: RunStatus | 'FINISHED';
  readonly reason?: string;
  /** Logged before the end. */
  readonly finalMetrics?: Readonly<Record<string, number>>;
}

interface CompleteRun extends Partial<SetRunStatus> {
  readonly runId: string;
}

interface GetRun extends OneRun {
  readonly includeParams?: boolean;
  readonly includeMetrics?: boolean;
}

const statusFields = {
  reason: z.string().max(2000).optional(),
  finalMetrics: figures.optional(),
};
const anyStatus = z.enum(['RUNNING', 'COMPLETED', 'FINISHED', 'FAILED', 'KILLED']);

const searchFields: { readonly [K in keyof SearchRuns]-?: z.ZodType } = {
  experiment: z
    .union([z.string(), z.array(z.string())])
    .describe('Names or ids; all when left out')
    .optional(),
  filter: z.string().describe('Such as metrics.loss < 0.3 AND params.depth = 6').optional(),
  orderBy: z.array(z.string()).describe('Such as metrics.loss ASC').optional(),
  ...paging,
  parentRunId: z.string().optional(),
  lifecycle: z.enum(['active', 'deleted']).optional(),
};

const searchSpellings = {
  experiment_ids: 'experiment',
  experimentIds: 'experiment',
  max_results: 'limit',
};

/** Runs under `/api/v1/runs`. */
export const runRows: {
  readonly start: Route<{ readonly body: StartRun }, Run>;
  readonly search: Route<{ readonly body?: SearchRuns }, RunPage>;
  readonly count: Route<
    { readonly body?: SearchRuns & { readonly exact?: boolean } },
    { readonly count: number; readonly exact: boolean }
  >;
  readonly complete: Route<{ readonly body: CompleteRun }, Run>;
  readonly get: Route<GetRun, Run>;
  readonly update: Route<OneRun & { readonly body: RunChange }, Run>;
  readonly setStatus: Route<OneRun & { readonly body: SetRunStatus }, Run>;
  readonly setTags: Route<
    OneRun & { readonly body: { readonly tags: Readonly<Record<string, string>> } },
    Run
  >;
  readonly removeTag: Route<OneRun & { readonly key: string }, undefined>;
  readonly history: Route<OneRun, { readonly revisions: readonly RunRevision[] }>;
  readonly delete: Route<OneRun, undefined>;
  readonly restore: Route<OneRun, Run>;
} = {
  start: {
    method: 'POST',
    path: '/runs',
    summary: 'Starts a run',
    description:
      'The experiment is made when there is none of that name. The same `id` again answers the same run.',
    permission: 'run.create',
    spellings: {
      experiment_id: 'experiment',
      experimentId: 'experiment',
      run_name: 'name',
      runName: 'name',
    },
    body: asked<StartRun>({
      experiment: z.string().min(1).describe('Name or id'),
      name: z.string().max(255).optional(),
      description: z.string().max(2048).optional(),
      params: looseObject.describe('Nested ones are kept under dotted keys').optional(),
      tags: tags.optional(),
      parentRunId: z.string().optional(),
      sourceType: z.enum(['NOTEBOOK', 'SCRIPT', 'PIPELINE', 'SERVICE']).optional(),
      thresholds: thresholds.optional(),
      id: z.string().max(255).describe('An id of your own').optional(),
    }),
    answers: { as: 'json', status: 201, schema: run },
    example: {
      body: { experiment: 'weather', name: 'first', params: { depth: 6 }, tags: { by: 'curl' } },
    },
    async run({ services, input }) {
      const own = { environment: false, systemMetrics: false } as const;
      const { id } = await services.tracking.startRun({ ...input.body, ...own });
      return services.tracking.getRun(id);
    },
  },
  search: {
    method: 'POST',
    path: '/runs/search',
    summary: 'Finds runs by a filter, page after page',
    permission: 'tracking.read',
    spellings: searchSpellings,
    body: asked<SearchRuns>(searchFields).optional() as never,
    answers: { as: 'json', schema: runPage },
    example: {
      body: {
        experiment: 'weather',
        filter: 'metrics.loss < 1',
        orderBy: ['metrics.loss ASC'],
        limit: 5,
      },
    },
    run: ({ services, input, signal }) => services.tracking.searchRuns({ ...input.body, signal }),
  },
  count: {
    method: 'POST',
    path: '/runs/count',
    summary: 'Counts runs; an estimate where that is much cheaper',
    permission: 'tracking.read',
    spellings: searchSpellings,
    body: asked<SearchRuns & { readonly exact?: boolean }>({
      ...searchFields,
      exact: z.boolean().optional(),
    }).optional() as never,
    answers: {
      as: 'json',
      schema: answered<{ readonly count: number; readonly exact: boolean }>('RunCount', {
        count: whole,
        exact: z.boolean(),
      }),
    },
    example: { body: { experiment: 'weather', exact: true } },
    run: ({ services, input, signal }) => services.tracking.countRuns({ ...input.body, signal }),
  },
  complete: {
    method: 'POST',
    path: '/runs/complete',
    summary: 'Ends a run',
    permission: 'run.write',
    body: asked<CompleteRun>({ runId: z.string(), status: anyStatus.optional(), ...statusFields }),
    answers: { as: 'json', schema: run },
    example: { body: { runId: exampleRun2, finalMetrics: { accuracy: 0.95 } } },
    run: ({ services, input: { body } }) =>
      setStatus(services, body.runId, { ...body, status: body.status ?? 'COMPLETED' }),
  },
  get: {
    method: 'GET',
    path: '/runs/{runId}',
    summary: 'A run',
    permission: 'tracking.read',
    query: {
      includeParams: z.boolean().describe('true when left out').optional(),
      includeMetrics: z.boolean().describe('true when left out').optional(),
    },
    answers: { as: 'json', schema: run },
    example: { runId: exampleRun, includeParams: true },
    async run({ services, input }) {
      const found = await services.tracking.getRun(input.runId);
      return {
        ...found,
        ...(input.includeParams === false ? { params: {} } : {}),
        ...(input.includeMetrics === false ? { metrics: {} } : {}),
      };
    },
  },
  update: {
    method: 'PATCH',
    path: '/runs/{runId}',
    summary: 'Renames or describes a run',
    permission: 'run.write',
    revisions: true,
    body: asked<RunChange>({
      name: z.string().min(1).max(255).optional(),
      description: z.string().max(2048).optional(),
      revision: whole.describe('As If-Match').optional(),
    }),
    answers: { as: 'json', schema: run },
    example: { runId: exampleRun, body: { description: 'Deeper trees' } },
    run: ({ services, input, revision }) =>
      services.tracking.updateRun(input.runId, {
        ...input.body,
        ...(revision === undefined ? {} : { revision }),
      }),
  },
  setStatus: {
    method: 'PUT',
    path: '/runs/{runId}/status',
    summary: 'Ends a run, or reopens it',
    permission: 'run.write',
    body: asked<SetRunStatus>({ status: anyStatus, ...statusFields }),
    answers: { as: 'json', schema: run },
    example: { runId: exampleRun, body: { status: 'RUNNING' } },
    run: ({ services, input }) => setStatus(services, input.runId, input.body),
  },
  setTags: {
    method: 'POST',
    path: '/runs/{runId}/tags',
    summary: 'Sets tags; others stay. Also after the end',
    permission: 'run.write',
    body: asked<{ readonly tags: Readonly<Record<string, string>> }>({ tags }),
    answers: { as: 'json', schema: run },
    example: { runId: exampleRun, body: { tags: { reviewed: 'yes' } } },
    async run({ services, input }) {
      await services.tracking.setRunTags(input.runId, input.body.tags);
      return services.tracking.getRun(input.runId);
    },
  },
  removeTag: {
    method: 'DELETE',
    path: '/runs/{runId}/tags/{key}',
    summary: 'Removes a tag',
    permission: 'run.write',
    answers: { as: 'nothing' },
    example: { runId: exampleRun, key: 'reviewed' },
    async run({ services, input }) {
      await services.tracking.removeRunTags(input.runId, [input.key]);
      return undefined;
    },
  },
  history: {
    method: 'GET',
    path: '/runs/{runId}/history',
    summary: 'Who changed the run, when and why, oldest first',
    permission: 'tracking.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly revisions: readonly RunRevision[] }>('RunHistory', {
        revisions: z.array(
          answered<RunRevision>('RunRevision', {
            revision: whole,
            at: time,
            by: z.string(),
            reason: z.string().optional(),
            status: runStatus,
            name: z.string(),
            lifecycle: z.enum(['active', 'deleted']),
          }),
        ),
      }),
    },
    example: { runId: exampleRun },
    run: async ({ services, input }) => ({
      revisions: await services.tracking.getRunHistory(input.runId),
    }),
  },
  delete: {
    method: 'DELETE',
    path: '/runs/{runId}',
    summary: 'Deletes a run; it can be restored',
    permission: 'run.write',
    answers: { as: 'nothing' },
    example: { runId: exampleRun2 },
    async run({ services, input }) {
      await services.tracking.deleteRun(input.runId);
      return undefined;
    },
  },
  restore: {
    method: 'POST',
    path: '/runs/{runId}/restore',
    summary: 'Brings a deleted run back',
    permission: 'run.write',
    answers: { as: 'json', schema: run },
    example: { runId: exampleRun2 },
    run: ({ services, input }) => services.tracking.restoreRun(input.runId),
  },
};

async function setStatus(
  { tracking }: { readonly tracking: import('@keelson/core').Tracking },
  runId: string,
  { status, reason, finalMetrics }: SetRunStatus,
): Promise<Run> {
  const active =
    status === 'RUNNING'
      ? await tracking.resumeRun(runId, { systemMetrics: false })
      : await tracking.joinRun(runId);
  if (finalMetrics !== undefined) {
    active.logMetrics(finalMetrics);
    await active.flush();
  }
  if (status !== 'RUNNING')
    await active.finish(status === 'FINISHED' ? 'COMPLETED' : status, reason);
  return tracking.getRun(runId);
}
