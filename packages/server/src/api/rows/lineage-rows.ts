import type { LineageGraph } from '@keelson/core';
import { z } from 'zod';
import type { Route } from '../route.ts';
import { exampleRun } from '../schemas.ts';
import { type LineageQuery, lineageGraph, lineageQuery } from './model-rows.ts';

/** What led to anything that has an id, and what came of it. */
export const lineageRows: {
  readonly of: Route<LineageQuery & { readonly id: string }, LineageGraph>;
} = {
  of: {
    method: 'GET',
    path: '/lineage',
    summary: 'What led to a run, version, execution, step, dataset or content, or came of it',
    permission: 'model.read',
    query: { id: z.string().min(1).max(500), ...lineageQuery },
    answers: { as: 'json', schema: lineageGraph },
    example: { id: exampleRun, direction: 'both', depth: 3 },
    run: ({ services: { registry }, input: { id, ...reach } }) => registry.lineage(id, reach),
  },
};
