import { type HealthReport, metricsContentType } from '@keelson/core';
import { z } from 'zod';
import { onePiece } from '../../http/one-piece.ts';
import { docsPage } from '../docs-page.ts';
import { openApiDocument } from '../openapi.ts';
import type { Content, Route } from '../route.ts';
import { answered, time } from '../schemas.ts';

/** What describes and watches the server. */
export const systemRows: {
  readonly openapi: Route<object, Record<string, unknown>>;
  readonly docs: Route<object, Content>;
  readonly metrics: Route<object, Content>;
  readonly live: Route<object, { readonly live: boolean }>;
  readonly ready: Route<object, { readonly ready: boolean }>;
  readonly health: Route<{ readonly fresh?: boolean }, HealthReport>;
} = {
  openapi: {
    method: 'GET',
    path: '/openapi.json',
    summary: 'This description, as OpenAPI 3.1',
    permission: 'open',
    answers: { as: 'json', schema: z.record(z.string(), z.unknown()) },
    example: {},
    run: async ({ table }) => openApiDocument(table),
  },
  docs: {
    method: 'GET',
    path: '/docs',
    summary: 'This description, as a page',
    permission: 'open',
    answers: { as: 'bytes', mediaTypes: ['text/html'] },
    example: {},
    run: async ({ table }) => docsPage(table),
  },
  metrics: {
    method: 'GET',
    path: '/metrics',
    outside: ['/metrics'],
    summary: "Metrics in Prometheus's text format",
    permission: 'metrics.read',
    answers: { as: 'bytes', mediaTypes: [metricsContentType] },
    example: {},
    async run({ services, serving }) {
      // Those of serving are other families than the platform's: one text holds both.
      const both = `${await services.operations.metrics()}${serving?.metrics?.() ?? ''}`;
      const text = Buffer.from(both);
      return { mediaType: metricsContentType, open: async () => onePiece(text) };
    },
  },
  live: {
    method: 'GET',
    path: '/health/live',
    outside: ['/health/live'],
    summary: 'Whether the process lives: it is to be started anew where this does not answer',
    permission: 'open',
    answers: {
      as: 'json',
      schema: answered<{ readonly live: boolean }>('Live', { live: z.boolean() }),
    },
    example: {},
    run: async () => ({ live: true }),
  },
  ready: {
    method: 'GET',
    path: '/health/ready',
    outside: ['/health/ready'],
    summary: 'Whether requests should be sent here; 503 where not',
    permission: 'open',
    answers: {
      as: 'json',
      schema: answered<{ readonly ready: boolean }>('Ready', { ready: z.boolean() }),
      isOutage: ({ ready }) => !ready,
    },
    example: {},
    run: async ({ isReady }) => ({ ready: await isReady() }),
  },
  health: {
    method: 'GET',
    path: '/health',
    summary: 'What the checks of the platform came to; 503 where it is of no use',
    permission: 'health.read',
    query: { fresh: z.boolean().describe('Runs the checks now').optional() },
    answers: {
      as: 'json',
      schema: answered<HealthReport>('HealthReport', {
        status: z.enum(['HEALTHY', 'DEGRADED', 'UNHEALTHY', 'UNKNOWN']),
        at: time,
        checks: z.array(
          z.looseObject({
            name: z.string(),
            component: z.string(),
            status: z.string(),
            message: z.string(),
          }),
        ),
      }),
      isOutage: ({ status }) => status === 'UNHEALTHY' || status === 'UNKNOWN',
    },
    example: { fresh: true },
    run: ({ services, input }) => services.operations.health(input),
  },
};
