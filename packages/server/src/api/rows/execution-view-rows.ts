import type { CacheExplanation, PoolUse, QueuedStep, StepExecution } from '@keelson/core';
import { z } from 'zod';
import type { Route } from '../route.ts';
import { answered, anyJson, cursor, looseObject, paging, time, whole } from '../schemas.ts';
import { executionOf, type OneExecution } from './execution-rows.ts';
import { type ExecutionPage, execution, executionStatus } from './pipeline-rows.ts';

/** Which step of an execution. */
interface OneStep extends OneExecution {
  readonly step: string;
}

/** What a step has put out, its files as what is known of them. */
export interface WireOutput {
  readonly value?: unknown;
}

interface ExecutionQuery {
  readonly pipeline?: string;
  readonly status?: ExecutionPage['executions'][number]['status'];
  readonly correlationId?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

const oneStep = '/pipelines/{pipeline}/runs/{executionId}/steps/{step}';
const example = { pipeline: 'train', executionId: 'execution-1', step: 'train' };

/** What is looked at of executions, over all pipelines and step by step. */
export const executionViewRows: {
  readonly list: Route<ExecutionQuery, ExecutionPage>;
  readonly queue: Route<
    { readonly executionId?: string },
    { readonly steps: readonly QueuedStep[] }
  >;
  readonly resources: Route<object, { readonly pools: readonly PoolUse[] }>;
  readonly items: Route<OneStep, { readonly items: readonly StepExecution[] }>;
  readonly output: Route<OneStep, WireOutput>;
  readonly cache: Route<OneStep & { readonly item?: number }, CacheExplanation>;
} = {
  list: {
    method: 'GET',
    path: '/executions',
    summary: 'The executions of all pipelines, newest first',
    permission: 'pipeline.read',
    query: {
      pipeline: z.string().optional(),
      status: executionStatus.optional(),
      correlationId: z.string().optional(),
      ...paging,
    },
    answers: {
      as: 'json',
      schema: answered<ExecutionPage>('AllExecutionsPage', {
        executions: z.array(execution),
        cursor,
      }),
    },
    example: { status: 'COMPLETED', limit: 5 },
    run: ({ services, input }) => services.pipelines.list(input),
  },
  queue: {
    method: 'GET',
    path: '/executions/queue',
    summary: 'Steps that could start and wait for room, in their order, each with why',
    permission: 'pipeline.read',
    query: { executionId: z.string().optional() },
    answers: {
      as: 'json',
      schema: answered<{ readonly steps: readonly QueuedStep[] }>('Queue', {
        steps: z.array(
          answered<QueuedStep>('QueuedStep', {
            position: whole,
            executionId: z.string(),
            pipeline: z.string(),
            step: z.string(),
            item: whole.optional(),
            priority: whole,
            submittedBy: z.string().optional(),
            since: time,
            reason: z.string(),
          }),
        ),
      }),
    },
    example: {},
    run: async ({ services, input }) => ({ steps: await services.pipelines.queue(input) }),
  },
  resources: {
    method: 'GET',
    path: '/executions/resources',
    summary:
      'The machines that steps run on: what they have, what of it is taken, and by which steps',
    permission: 'pipeline.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly pools: readonly PoolUse[] }>('Pools', {
        pools: z.array(looseObject as never),
      }),
    },
    example: {},
    run: async ({ services }) => ({ pools: await services.pipelines.resources() }),
  },
  items: {
    method: 'GET',
    path: `${oneStep}/items`,
    summary: 'The items of a step that fans out',
    permission: 'pipeline.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly items: readonly StepExecution[] }>('StepItems', {
        items: z.array(looseObject as never),
      }),
    },
    example,
    async run({ services: { pipelines }, input }) {
      const { id } = await executionOf(pipelines, input);
      return { items: await pipelines.items(id, input.step) };
    },
  },
  output: {
    method: 'GET',
    path: `${oneStep}/output`,
    summary:
      'What a step has put out, files as what is known of them; 404 while it has not completed',
    permission: 'pipeline.read',
    answers: {
      as: 'json',
      schema: answered<WireOutput>('StepOutput', { value: anyJson.optional() }),
    },
    example,
    async run({ services: { pipelines }, input }) {
      const { id } = await executionOf(pipelines, input);
      const { value } = await pipelines.outputs(id, input.step);
      return value === undefined ? {} : { value: plain(value) };
    },
  },
  cache: {
    method: 'GET',
    path: `${oneStep}/cache`,
    summary: "Whether a step's result was taken from an earlier one, and why, or why not",
    permission: 'pipeline.read',
    query: { item: whole.describe('Of a fan-out: which, 0 for the first').optional() },
    answers: {
      as: 'json',
      schema: answered<CacheExplanation>('CacheExplanation', {
        outcome: z.enum(['hit', 'miss', 'off']),
        explanation: z.string(),
        key: z.string().optional(),
        parts: looseObject.optional(),
        cachedFrom: looseObject.optional(),
      }),
    },
    example,
    async run({ services: { pipelines }, input }) {
      const { id } = await executionOf(pipelines, input);
      const of = input.item === undefined ? {} : { item: input.item };
      return pipelines.explainCache(id, input.step, of);
    },
  },
};

/** A value with its files as plain facts. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => plain(each));
  const fields = Object.entries(value);
  return Object.fromEntries(fields.map(([key, of]) => [key, plain(of)]));
}
