import type {
  DatasetInput,
  Json,
  JsonObject,
  RunDataset,
  SeriesBucket,
  SeriesSummary,
} from '@keelson/core';
import { z } from 'zod';
import { badInput } from '../read-input.ts';
import type { Route } from '../route.ts';
import {
  answered,
  anyJson,
  asked,
  exampleRun,
  figure,
  looseObject,
  time,
  whole,
} from '../schemas.ts';
import type { OneRun } from './run-schemas.ts';

/** One param, or several. */
export interface LogParams {
  readonly key?: string;
  readonly value?: Json;
  /** What a text stands for. */
  readonly valueType?: 'string' | 'int' | 'float' | 'bool' | 'json';
  /** Nested ones are kept under dotted keys. */
  readonly params?: Readonly<Record<string, unknown>>;
}

/** One point of one metric. */
export interface Point {
  readonly key: string;
  readonly value: number;
  readonly step?: number;
  /** Epoch ms; now when left out. */
  readonly timestamp?: number;
}

/** One point, or up to 10,000. */
export interface LogMetrics extends Partial<Point> {
  readonly metrics?: readonly Point[];
}

/** All points of a metric, in columns. */
export interface MetricHistory {
  readonly key: string;
  readonly steps: readonly number[];
  readonly timestamps: readonly number[];
  readonly values: readonly number[];
}

interface Steps {
  readonly fromStep?: number;
  readonly toStep?: number;
}

interface OneMetric extends OneRun, Steps {
  readonly key: string;
}

const pointFields = {
  key: z.string().min(1).max(255),
  value: figure,
  step: whole.optional(),
  timestamp: time.optional(),
};
const steps = { fromStep: whole.optional(), toStep: whole.optional() };

/** What is said of a dataset. */
export const datasetFields: { readonly [K in keyof DatasetInput]-?: z.ZodType } = {
  name: z.string().min(1).max(255),
  digest: z
    .string()
    .min(1)
    .max(255)
    .describe('SHA-256 of the content, or a fingerprint of your own'),
  role: z.enum(['train', 'validation', 'test']),
  context: z.string().optional(),
  sourceUri: z.string().optional(),
  schema: looseObject.optional(),
  rowCount: z.number().int().min(0).optional(),
  profile: looseObject.optional(),
};
const dataset = answered<RunDataset>('RunDataset', { id: z.string(), ...datasetFields });

/** Params, metrics and datasets of runs. */
export const runDataRows: {
  readonly logParams: Route<OneRun & { readonly body: LogParams }, { readonly params: JsonObject }>;
  readonly params: Route<OneRun, { readonly params: JsonObject }>;
  readonly logMetrics: Route<OneRun & { readonly body: LogMetrics }, { readonly accepted: number }>;
  readonly metrics: Route<OneRun, { readonly metrics: readonly SeriesSummary[] }>;
  readonly metricHistory: Route<OneMetric, MetricHistory>;
  readonly metricBuckets: Route<
    OneMetric & { readonly buckets?: number },
    { readonly buckets: readonly SeriesBucket[] }
  >;
  readonly logDataset: Route<OneRun & { readonly body: DatasetInput }, { readonly id: string }>;
  readonly datasets: Route<OneRun, { readonly datasets: readonly RunDataset[] }>;
} = {
  logParams: {
    method: 'POST',
    path: '/runs/{runId}/params',
    summary: 'Logs a param, or several',
    permission: 'run.write',
    body: asked<LogParams>({
      key: z.string().optional(),
      value: anyJson.optional(),
      valueType: z
        .enum(['string', 'int', 'float', 'bool', 'json'])
        .describe('What a text stands for')
        .optional(),
      params: looseObject.optional(),
    }),
    answers: {
      as: 'json',
      schema: answered<{ readonly params: JsonObject }>('Params', { params: looseObject }),
    },
    example: {
      runId: exampleRun,
      body: { key: 'learning_rate', value: '0.1', valueType: 'float' },
    },
    async run({ services, input: { runId, body } }) {
      const { key, value, params = {} } = body;
      if (
        (key === undefined) !== (value === undefined) ||
        (key === undefined && body.params === undefined)
      ) {
        throw badInput([{ path: 'body', message: 'takes key and value, or params' }]);
      }
      const active = await services.tracking.joinRun(runId);
      const all =
        key === undefined ? params : { ...params, [key]: meant(value as Json, body.valueType) };
      await active.logParams(all);
      return { params: all as JsonObject };
    },
  },
  params: {
    method: 'GET',
    path: '/runs/{runId}/params',
    summary: 'The params as they were logged, nested',
    permission: 'tracking.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly params: JsonObject }>('NestedParams', { params: looseObject }),
    },
    example: { runId: exampleRun },
    run: async ({ services, input }) => ({
      params: await services.tracking.getParams(input.runId),
    }),
  },
  logMetrics: {
    method: 'POST',
    path: '/runs/{runId}/metrics',
    summary: 'Logs a point of a metric, or several; answered when they are durable',
    permission: 'run.write',
    body: asked<LogMetrics>({
      key: pointFields.key.optional(),
      value: pointFields.value.optional(),
      step: pointFields.step,
      timestamp: pointFields.timestamp,
      metrics: z.array(z.strictObject(pointFields)).max(10_000).optional(),
    }),
    answers: {
      as: 'json',
      schema: answered<{ readonly accepted: number }>('Accepted', { accepted: whole }),
    },
    example: {
      runId: exampleRun,
      body: {
        metrics: [
          { key: 'loss', value: 0.3, step: 1 },
          { key: 'loss', value: 0.2, step: 2 },
        ],
      },
    },
    async run({ services, input: { runId, body } }) {
      const { metrics, ...one } = body;
      if ((metrics === undefined) === (one.key === undefined || one.value === undefined)) {
        throw badInput([{ path: 'body', message: 'takes key and value, or metrics' }]);
      }
      const points = metrics ?? [one as Point];
      const active = await services.tracking.joinRun(runId);
      for (const { key, value, ...place } of points) active.logMetric(key, value, place);
      await active.flush();
      return { accepted: points.length };
    },
  },
  metrics: {
    method: 'GET',
    path: '/runs/{runId}/metrics',
    summary: 'Figures of each metric: last, least, greatest, mean, count',
    permission: 'tracking.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly metrics: readonly SeriesSummary[] }>('MetricSummaries', {
        metrics: z.array(
          answered<SeriesSummary>('MetricSummary', {
            key: z.string(),
            count: whole,
            nanCount: whole,
            first: figure,
            firstStep: whole,
            last: figure,
            lastStep: whole,
            lastTimestamp: time,
            min: figure.optional(),
            minStep: whole.optional(),
            max: figure.optional(),
            maxStep: whole.optional(),
            mean: figure.optional(),
          }),
        ),
      }),
    },
    example: { runId: exampleRun },
    run: async ({ services, input }) => ({
      metrics: await services.tracking.getMetricSummaries(input.runId),
    }),
  },
  metricHistory: {
    method: 'GET',
    path: '/runs/{runId}/metrics/{key}',
    summary: 'All points of a metric, by step',
    permission: 'tracking.read',
    query: steps,
    answers: {
      as: 'json',
      schema: answered<MetricHistory>('MetricHistory', {
        key: z.string(),
        steps: z.array(whole),
        timestamps: z.array(figure),
        values: z.array(figure),
      }),
    },
    example: { runId: exampleRun, key: 'loss', fromStep: 0 },
    async run({ services, input: { runId, key, ...range } }) {
      const { steps, timestamps, values } = await services.tracking.getMetricHistory(
        runId,
        key,
        range,
      );
      return { key, steps: [...steps], timestamps: [...timestamps], values: [...values] };
    },
  },
  metricBuckets: {
    method: 'GET',
    path: '/runs/{runId}/metrics/{key}/buckets',
    summary: 'A metric in at most so many buckets with exact extremes: what a chart draws',
    permission: 'tracking.read',
    query: {
      ...steps,
      buckets: z.number().int().min(1).max(10_000).describe('500 when left out').optional(),
    },
    answers: {
      as: 'json',
      schema: answered<{ readonly buckets: readonly SeriesBucket[] }>('MetricBuckets', {
        buckets: z.array(
          answered<SeriesBucket>('MetricBucket', {
            stepMin: whole,
            stepMax: whole,
            count: whole,
            min: figure,
            minStep: whole,
            max: figure,
            maxStep: whole,
            nanCount: whole,
          }),
        ),
      }),
    },
    example: { runId: exampleRun, key: 'loss', buckets: 100 },
    run: async ({ services, input: { runId, key, buckets = 500, ...range } }) => ({
      buckets: await services.tracking.downsampleMetric(runId, key, { buckets, ...range }),
    }),
  },
  logDataset: {
    method: 'POST',
    path: '/runs/{runId}/datasets',
    summary: 'Links a dataset to a run',
    permission: 'run.write',
    body: asked<DatasetInput>(datasetFields),
    answers: {
      as: 'json',
      status: 201,
      schema: answered<{ readonly id: string }>('DatasetId', { id: z.string() }),
    },
    example: {
      runId: exampleRun,
      body: { name: 'rain-2025', digest: 'b5bb9d8014a0', role: 'train', rowCount: 1200 },
    },
    async run({ services, input }) {
      const active = await services.tracking.joinRun(input.runId);
      return { id: await active.logDataset(input.body) };
    },
  },
  datasets: {
    method: 'GET',
    path: '/runs/{runId}/datasets',
    summary: 'What went into a run',
    permission: 'tracking.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly datasets: readonly RunDataset[] }>('RunDatasets', {
        datasets: z.array(dataset),
      }),
    },
    example: { runId: exampleRun },
    run: async ({ services, input }) => ({
      datasets: await services.tracking.listDatasets(input.runId),
    }),
  },
};

/** A text as the type that it stands for. */
function meant(value: Json, type: LogParams['valueType']): Json {
  if (typeof value !== 'string' || type === undefined || type === 'string') return value;
  if (type === 'json') return parsed(value);
  if (type === 'bool' && /^(true|false)$/i.test(value)) return value.toLowerCase() === 'true';
  const number = value.trim() === '' ? Number.NaN : Number(value);
  const fits =
    type === 'int' ? Number.isSafeInteger(number) : type === 'float' && !Number.isNaN(number);
  if (fits) return number;
  throw badInput([{ path: 'body.value', message: `is no ${type}` }]);
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw badInput([{ path: 'body.value', message: `is no JSON: ${(error as Error).message}` }]);
  }
}
