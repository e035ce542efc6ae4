import type { Artifact, Run, RunPage, RunStatus } from '@keelson/core';
import { z } from 'zod';
import { answered, anyJson, cursor, figure, looseObject, tags, time, whole } from '../schemas.ts';

/** Which run. */
export interface OneRun {
  readonly runId: string;
}

/** Where a run stands. */
export const runStatus: z.ZodType<RunStatus> = z.enum(['RUNNING', 'COMPLETED', 'FAILED', 'KILLED']);

/** Numbers by key. */
export const figures: z.ZodType<Record<string, number>> = z.record(z.string(), figure);

/** A run as it is answered. */
export const run: z.ZodType<Run> = answered<Run>('Run', {
  id: z.string(),
  experimentId: z.string(),
  parentRunId: z.string().optional(),
  name: z.string(),
  status: runStatus,
  statusReason: z.string().optional(),
  startedAt: time,
  endedAt: time.optional(),
  durationMs: z.number().optional(),
  heartbeatAt: time.optional(),
  sourceType: z.enum(['NOTEBOOK', 'SCRIPT', 'PIPELINE', 'SERVICE']),
  sourceName: z.string().optional(),
  sourceVersion: z.string().optional(),
  userId: z.string(),
  description: z.string(),
  lifecycle: z.enum(['active', 'deleted']),
  params: z.record(z.string(), anyJson),
  tags,
  metrics: figures,
  environment: looseObject,
  lostPoints: z.record(z.string(), whole),
  revision: whole,
});

/** A page of runs. */
export const runPage: z.ZodType<RunPage> = answered<RunPage>('RunPage', {
  runs: z.array(run),
  cursor,
});

/** What an artifact may be. */
export const artifactType: z.ZodType<Artifact['type']> = z.enum([
  'MODEL',
  'DATASET',
  'PLOT',
  'CONFIG',
  'LOG',
  'OTHER',
]);

/** An artifact as it is answered. */
export const artifact: z.ZodType<Artifact> = answered<Artifact>('Artifact', {
  id: z.string(),
  runId: z.string(),
  path: z.string(),
  uri: z.string(),
  sha256: z.string(),
  sizeBytes: whole,
  type: artifactType,
  mimeType: z.string(),
  metadata: tags,
  createdAt: time,
});
