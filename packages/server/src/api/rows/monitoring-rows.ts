import type { Alert, EndpointMetric, EndpointMetricName } from '@keelson/core';
import { z } from 'zod';
import type { Route } from '../route.ts';
import { answered, looseObject, time, whole } from '../schemas.ts';
import { timeOf, timeText } from '../time-text.ts';
import { lengthOf, type Watched, watchedIdOf } from './watched-names.ts';

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
        windowMs: lengthOf('query.aggregation', aggregation),
        ...(names === undefined ? {} : { names }),
        ...(by === undefined ? {} : { by }),
      };
      return {
        metrics: await services.monitoring.metrics(
          await watchedIdOf(services, input.name),
          options,
        ),
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
      const options = { ...rest, windowMs: lengthOf('query.window', window) };
      return {
        metrics: await services.monitoring.recentMetrics(
          await watchedIdOf(services, name),
          options,
        ),
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
      const all = await services.monitoring.listAlerts(await watchedIdOf(services, name));
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
};

function isIn({ state }: Alert, status: string): boolean {
  return status === 'ACTIVE' ? state !== 'RESOLVED' : state === status;
}
