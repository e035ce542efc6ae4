import type {
  Alert,
  EndpointMetric,
  EndpointMetricName,
  Label,
  LabelResult,
  Services,
} from '@keelson/core';
import { z } from 'zod';
import { badInput } from '../read-input.ts';
import type { Route } from '../route.ts';
import { answered, anyJson, asked, looseObject, time, whole } from '../schemas.ts';
import { durationOf, timeOf, timeText } from '../time-text.ts';

interface Watched {
  /** Of a deployment, or of a model that has one deployment. */
  readonly name: string;
}

interface MetricsQuery extends Watched {
  readonly startTime?: string;
  readonly endTime?: string;
  readonly aggregation?: string;
  readonly names?: readonly EndpointMetricName[];
  readonly by?: 'version' | 'segment' | 'arm' | 'replica';
}

interface RealtimeQuery extends Pick<MetricsQuery, 'name' | 'names' | 'by'> {
  readonly window?: string;
}

interface AlertQuery extends Watched {
  readonly severity?: string;
  readonly status?: string;
  readonly since?: string;
}

interface Metrics {
  readonly metrics: readonly EndpointMetric[];
}

const metric = answered<EndpointMetric>('EndpointMetric', {
  deploymentId: z.string(),
  name: z.string(),
  unit: z.string(),
  windowMs: z.number(),
  dimensions: looseObject,
  relativeError: z.number().optional(),
  points: z.array(z.looseObject({ at: time, count: whole, value: z.number().optional() })),
});
const metrics = answered<Metrics>('EndpointMetrics', { metrics: z.array(metric) });
const figures = {
  names: z.array(z.string()).describe('Such as latency_p95; all when left out').optional(),
  by: z.enum(['version', 'segment', 'arm', 'replica']).optional(),
};

/** What monitoring knows of deployments. */
export const monitoringRows: {
  readonly metrics: Route<MetricsQuery, Metrics>;
  readonly realtime: Route<RealtimeQuery, Metrics>;
  readonly alerts: Route<AlertQuery, { readonly alerts: readonly Alert[] }>;
  readonly labels: Route<
    Watched & { readonly body: { readonly labels: readonly Label[] } },
    LabelResult
  >;
} = {
  metrics: {
    method: 'GET',
    path: '/monitoring/models/{name}/metrics',
    aliases: ['/monitoring/{name}/metrics'],
    summary: 'Latency, throughput, errors and invalid requests, window by window',
    permission: 'monitor.read',
    query: {
      startTime: z.string().describe(`${timeText}; a day ago when left out`).optional(),
      endTime: z.string().describe(`${timeText}; now when left out`).optional(),
      aggregation: z
        .string()
        .describe('How long a window is: 1m, 5m, 15m, 1h, 1d, 1w; 1h when left out')
        .optional(),
      ...figures,
    },
    answers: { as: 'json', schema: metrics },
    example: { name: 'live', startTime: '24h', aggregation: '1h' },
    async run({ services, input }) {
      const { startTime = '24h', endTime = '0s', aggregation = '1h', names, by } = input;
      const options = {
        from: timeOf('startTime', startTime),
        to: timeOf('endTime', endTime),
        windowMs: lengthOf('aggregation', aggregation),
        ...(names === undefined ? {} : { names }),
        ...(by === undefined ? {} : { by }),
      };
      return {
        metrics: await services.monitoring.metrics(await idOf(services, input.name), options),
      };
    },
  },
  realtime: {
    method: 'GET',
    path: '/monitoring/models/{name}/realtime',
    aliases: ['/monitoring/{name}/realtime'],
    summary: 'The same of the last while',
    permission: 'monitor.read',
    query: {
      window: z.string().describe('How long, such as 60s; up to 1h; 1m when left out').optional(),
      ...figures,
    },
    answers: { as: 'json', schema: metrics },
    example: { name: 'live' },
    async run({ services, input: { name, window = '1m', ...rest } }) {
      const options = { ...rest, windowMs: lengthOf('window', window) };
      return {
        metrics: await services.monitoring.recentMetrics(await idOf(services, name), options),
      };
    },
  },
  alerts: {
    method: 'GET',
    path: '/monitoring/models/{name}/alerts',
    aliases: ['/monitoring/{name}/alerts'],
    summary: 'What went wrong, oldest first',
    permission: 'monitor.read',
    query: {
      severity: z.string().describe('In any case, such as critical').optional(),
      status: z
        .string()
        .describe('pending, firing, resolved, or active for what is not resolved')
        .optional(),
      since: z.string().describe(timeText).optional(),
    },
    answers: {
      as: 'json',
      schema: answered<{ readonly alerts: readonly Alert[] }>('Alerts', {
        alerts: z.array(looseObject),
      }),
    },
    example: { name: 'live', severity: 'critical', since: '7d' },
    async run({ services, input: { name, severity, status, since } }) {
      const from = since === undefined ? undefined : timeOf('since', since);
      const all = await services.monitoring.listAlerts(await idOf(services, name));
      return {
        alerts: all.filter(
          (alert) =>
            (severity === undefined || alert.severity === severity.toUpperCase()) &&
            (status === undefined || isIn(alert, status.toUpperCase())) &&
            (from === undefined || alert.lastAt >= from),
        ),
      };
    },
  },
  labels: {
    method: 'POST',
    path: '/monitoring/models/{name}/labels',
    summary: 'Tells what was really the case',
    permission: 'label.write',
    body: asked<{ readonly labels: readonly Label[] }>({
      labels: z
        .array(
          z.strictObject({
            requestId: z.string().optional(),
            key: z.string().optional(),
            of: z.enum(['latest', 'all']).optional(),
            value: anyJson,
            observedAt: time,
          }),
        )
        .max(10_000),
    }),
    answers: {
      as: 'json',
      schema: answered<LabelResult>('LabelResult', {
        accepted: whole,
        sampledOut: whole,
        refused: z.array(looseObject),
      }),
    },
    example: {
      name: 'live',
      body: { labels: [{ requestId: 'request-1', value: 1, observedAt: 1_767_225_600_000 }] },
    },
    run: async ({ services, input }) =>
      services.monitoring.logLabels(await idOf(services, input.name), input.body.labels),
  },
};

function isIn({ state }: Alert, status: string): boolean {
  return status === 'ACTIVE' ? state !== 'RESOLVED' : state === status;
}

function lengthOf(field: string, text: string): number {
  const ms = durationOf(text);
  if (ms !== undefined) return ms;
  throw badInput([
    { path: `query.${field}`, message: 'is no length of time, such as 5m, 1h or 1d' },
  ]);
}

/** The deployment of the name, or the one of the model. INVALID, naming them, for a model that has several. */
async function idOf({ deployments }: Services, name: string): Promise<string> {
  const found = await deployments.find(name);
  if (found !== undefined) return found.id;
  const { deployments: all } = await deployments.list({ model: name, limit: 20 });
  const [only] = all;
  if (all.length === 1 && only !== undefined) return only.id;
  if (only === undefined) return (await deployments.get(name)).id;
  throw badInput([
    {
      path: 'path.name',
      message: `is a model of several deployments: ${all.map((each) => each.name).join(', ')}`,
    },
  ]);
}
