import { metricsContentType } from '@keelson/core';
import { z } from 'zod';
import { docsPage } from '../docs-page.ts';
import { openApiDocument } from '../openapi.ts';
import type { Content, Route } from '../route.ts';

/** What describes and watches the server. */
export const systemRows: {
  readonly openapi: Route<object, Record<string, unknown>>;
  readonly docs: Route<object, Content>;
  readonly metrics: Route<object, Content>;
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
    async run({ services }) {
      const text = Buffer.from(await services.operations.metrics());
      return { mediaType: metricsContentType, open: async () => oneText(text) };
    },
  },
};

async function* oneText(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
