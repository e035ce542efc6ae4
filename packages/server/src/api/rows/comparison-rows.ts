import type {
  CompareGroupsOptions,
  CompareOptions,
  Comparison,
  GroupComparison,
} from '@keelson/core';
import { z } from 'zod';
import { onePiece } from '../../http/one-piece.ts';
import type { Content, Route } from '../route.ts';
import {
  answered,
  anyJson,
  asked,
  exampleRun,
  exampleRun2,
  looseObject,
  whole,
} from '../schemas.ts';
import type { OneRun } from './run-schemas.ts';

/** Runs to lay side by side. */
export interface CompareRuns extends Omit<CompareOptions, 'signal'> {
  readonly runIds: readonly string[];
}

const directions = z.record(z.string(), z.enum(['higher', 'lower']));
const objects = z.array(looseObject);

const comparison = answered<Comparison>('Comparison', {
  runs: objects,
  baseline: z.string().optional(),
  metrics: objects,
  params: objects,
  environment: objects,
  tags: objects,
  artifacts: objects,
  same: z.looseObject({ params: whole, environment: whole, tags: whole }),
  gaps: objects,
});

const groupComparison = answered<GroupComparison>('GroupComparison', {
  alpha: z.number(),
  figure: z.enum(['final', 'best']),
  groups: z.array(z.looseObject({ name: z.string(), runIds: z.array(z.string()) })),
  metrics: z.array(anyJson),
  comparisons: whole,
  gaps: objects,
});

/** Runs beside each other, and their pages. */
export const comparisonRows: {
  readonly runs: Route<{ readonly body: CompareRuns }, Comparison>;
  readonly groups: Route<{ readonly body: Omit<CompareGroupsOptions, 'signal'> }, GroupComparison>;
  readonly page: Route<OneRun, Content>;
} = {
  runs: {
    method: 'POST',
    path: '/runs/compare',
    summary: 'Lays 2 to 100 runs side by side',
    description:
      'Lists hold one value for each run, in the order of `runs`; what is missing is null and listed in `gaps`.',
    permission: 'tracking.read',
    spellings: { metric_keys: 'metrics', metricKeys: 'metrics' },
    body: asked<CompareRuns>({
      runIds: z.array(z.string()).min(2).max(100),
      metrics: z.array(z.string()).min(1).optional(),
      directions: directions.optional(),
      baseline: z
        .string()
        .describe('One of the ids: the run that the others are held against')
        .optional(),
    }),
    answers: { as: 'json', schema: comparison },
    example: {
      body: { runIds: [exampleRun, exampleRun2], metrics: ['loss'], baseline: exampleRun },
    },
    run: ({ services, input: { body }, signal }) => {
      const { runIds, ...options } = body;
      return services.tracking.compareRuns(runIds, { ...options, signal });
    },
  },
  groups: {
    method: 'POST',
    path: '/runs/compare/groups',
    summary: 'Means, intervals and tests between groups of runs',
    permission: 'tracking.read',
    body: asked<Omit<CompareGroupsOptions, 'signal'>>({
      groups: z
        .record(z.string(), z.array(z.string()))
        .describe('Name → run ids; 2 to 20 groups of 2 to 100'),
      metrics: z.array(z.string()).min(1).max(50),
      directions: directions.optional(),
      figure: z.enum(['final', 'best']).optional(),
      alpha: z.number().gt(0).lt(1).optional(),
    }),
    answers: { as: 'json', schema: groupComparison },
    example: {
      body: {
        groups: { shallow: [exampleRun, exampleRun2], deep: ['deep-1', 'deep-2'] },
        metrics: ['loss'],
        directions: { loss: 'lower' },
      },
    },
    run: ({ services, input, signal }) =>
      services.tracking.compareGroups({ ...input.body, signal }),
  },
  page: {
    method: 'GET',
    path: '/runs/{runId}/page',
    summary: 'A self-contained HTML page of a run',
    permission: 'tracking.read',
    answers: { as: 'bytes', mediaTypes: ['text/html'] },
    example: { runId: exampleRun },
    async run({ services, input }) {
      const page = Buffer.from(await services.tracking.runPage(input.runId));
      return { mediaType: 'text/html; charset=utf-8', open: async () => onePiece(page) };
    },
  },
};
