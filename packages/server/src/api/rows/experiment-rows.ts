import type { Experiment, ExperimentChange, NewExperiment } from '@keelson/core';
import { z } from 'zod';
import type { Route } from '../route.ts';
import { answered, asked, cursor, figure, paging, tags, time, whole } from '../schemas.ts';

/** A page of experiments. */
export interface ExperimentPage {
  readonly experiments: readonly Experiment[];
  readonly cursor?: string;
}

interface One {
  /** Id or name. */
  readonly experiment: string;
}

/** Which experiments are listed. */
export interface ListExperiments {
  readonly lifecycle?: Experiment['lifecycle'];
  readonly below?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

/** The shape of bounds of metrics. */
export const thresholds: z.ZodType = z
  .array(
    z.strictObject({
      metric: z.string(),
      above: z.number().optional(),
      below: z.number().optional(),
      notFinite: z.boolean().optional(),
    }),
  )
  .max(100)
  .describe('Bounds of metrics; a crossing is told by the event metric.threshold_exceeded');

const experiment = answered<Experiment>('Experiment', {
  id: z.string(),
  name: z.string(),
  description: z.string(),
  tags,
  lifecycle: z.enum(['active', 'archived', 'deleted']),
  thresholds: z.array(
    z.looseObject({ metric: z.string(), above: figure.optional(), below: figure.optional() }),
  ),
  createdBy: z.string(),
  createdAt: time,
  updatedAt: time,
  revision: whole,
  runCount: whole,
});

const experimentParam = { experiment: z.string().min(1).describe('Id or name') };

/** Experiments under `/api/v1/experiments`. */
export const experimentRows: {
  readonly create: Route<{ readonly body: NewExperiment }, Experiment>;
  readonly list: Route<ListExperiments, ExperimentPage>;
  readonly get: Route<One, Experiment>;
  readonly update: Route<One & { readonly body: ExperimentChange }, Experiment>;
  readonly setTags: Route<
    One & { readonly body: { readonly tags: Readonly<Record<string, string>> } },
    Experiment
  >;
  readonly delete: Route<One, undefined>;
  readonly restore: Route<One, Experiment>;
} = {
  create: {
    method: 'POST',
    path: '/experiments',
    summary: 'Makes an experiment',
    permission: 'experiment.create',
    body: asked<NewExperiment>({
      name: z.string().min(1).max(255),
      description: z.string().max(2048).optional(),
      tags: tags.optional(),
      thresholds: thresholds.optional(),
      ifExists: z.enum(['error', 'reuse', 'suffix']).describe('When the name is taken').optional(),
    }),
    answers: { as: 'json', status: 201, schema: experiment },
    example: {
      body: { name: 'fraud', description: 'Card fraud by transaction', tags: { team: 'risk' } },
    },
    run: ({ services, input }) => services.tracking.createExperiment(input.body),
  },
  list: {
    method: 'GET',
    path: '/experiments',
    summary: 'Experiments by name',
    permission: 'tracking.read',
    query: {
      lifecycle: z.enum(['active', 'archived', 'deleted']).optional(),
      below: z
        .string()
        .describe('Only those below this path: `fraud` finds `fraud/cnn`')
        .optional(),
      ...paging,
    },
    answers: {
      as: 'json',
      schema: answered<ExperimentPage>('ExperimentPage', {
        experiments: z.array(experiment),
        cursor,
      }),
    },
    example: { limit: 10 },
    run: ({ services, input }) => services.tracking.listExperiments(input),
  },
  get: {
    method: 'GET',
    path: '/experiments/{experiment}',
    summary: 'An experiment',
    permission: 'tracking.read',
    params: experimentParam,
    answers: { as: 'json', schema: experiment },
    example: { experiment: 'weather' },
    run: ({ services, input }) => services.tracking.getExperiment(input.experiment),
  },
  update: {
    method: 'PATCH',
    path: '/experiments/{experiment}',
    summary: 'Renames, describes, archives, or sets bounds',
    permission: 'experiment.update',
    revisions: true,
    params: experimentParam,
    body: asked<ExperimentChange>({
      name: z.string().min(1).max(255).optional(),
      description: z.string().max(2048).optional(),
      lifecycle: z.enum(['active', 'archived']).optional(),
      thresholds: thresholds.optional(),
      revision: whole.describe('As If-Match').optional(),
    }),
    answers: { as: 'json', schema: experiment },
    example: { experiment: 'weather', body: { description: 'Rain of tomorrow' } },
    run: ({ services, input, revision }) =>
      services.tracking.updateExperiment(input.experiment, {
        ...input.body,
        ...(revision === undefined ? {} : { revision }),
      }),
  },
  setTags: {
    method: 'POST',
    path: '/experiments/{experiment}/tags',
    summary: 'Sets tags; others stay',
    permission: 'experiment.update',
    params: experimentParam,
    body: asked<{ readonly tags: Readonly<Record<string, string>> }>({ tags }),
    answers: { as: 'json', schema: experiment },
    example: { experiment: 'weather', body: { tags: { team: 'sky' } } },
    async run({ services, input }) {
      await services.tracking.setExperimentTags(input.experiment, input.body.tags);
      return services.tracking.getExperiment(input.experiment);
    },
  },
  delete: {
    method: 'DELETE',
    path: '/experiments/{experiment}',
    summary: 'Deletes an experiment; it can be restored',
    permission: 'experiment.delete',
    params: experimentParam,
    answers: { as: 'nothing' },
    example: { experiment: 'old' },
    async run({ services, input }) {
      await services.tracking.deleteExperiment(input.experiment);
      return undefined;
    },
  },
  restore: {
    method: 'POST',
    path: '/experiments/{experiment}/restore',
    summary: 'Brings a deleted experiment back, by its id',
    permission: 'experiment.delete',
    params: { experiment: z.string().min(1).describe('Id') },
    answers: { as: 'json', schema: experiment },
    example: { experiment: 'deleted-experiment-id' },
    run: ({ services, input }) => services.tracking.restoreExperiment(input.experiment),
  },
};
