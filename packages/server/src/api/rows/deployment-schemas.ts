import type { Deployment, Rollout, VersionedRoute } from '@keelson/core';
import { z } from 'zod';
import { answered, looseObject, tags, time, whole } from '../schemas.ts';

/** Which deployment. */
export interface OneDeployment {
  readonly deployment: string;
}

/** What a deployment is for. */
export const environment: z.ZodType<Deployment['environment']> = z.enum([
  'DEVELOPMENT',
  'STAGING',
  'PRODUCTION',
]);

/** How a deployment is. */
export const deploymentStatus: z.ZodType<Deployment['status']> = z.enum([
  'CREATING',
  'HEALTHY',
  'DEGRADED',
  'FAILED',
  'TERMINATING',
  'STOPPED',
]);

/** Why, for the record; it says who asked where it is left out. */
export const reason: z.ZodType<string | undefined> = z
  .string()
  .min(1)
  .max(2000)
  .describe('For the record')
  .optional();

/** A reason, where the caller has not given one. */
export function reasonOf(given: string | undefined, principal: { readonly id: string }): string {
  return given ?? `Asked for by ${principal.id}.`;
}

/** A deployment as it is answered. */
export const deployment: z.ZodType<Deployment> = answered<Deployment>('Deployment', {
  id: z.string(),
  name: z.string(),
  model: z.string(),
  environment,
  status: deploymentStatus,
  activeRolloutId: z.string().optional(),
  fallbackVersionId: z.string().optional(),
  endpointUrl: z.string().optional(),
  tags,
  warm: z.array(looseObject),
  onPromotion: looseObject.optional(),
  createdBy: z.string(),
  createdAt: time,
  updatedAt: time,
  lastHealthCheckAt: time.optional(),
  lastRevision: whole,
  currentRevision: whole,
  revision: whole,
  serving: looseObject,
  scaling: looseObject.optional(),
  resources: looseObject,
  healthCheck: looseObject,
  warmMs: z.number().optional(),
  keptRevisions: whole.optional(),
});

/** A route as it is answered. */
export const route: z.ZodType<VersionedRoute> = answered<VersionedRoute>('VersionedRoute', {
  generation: whole,
  route: z.looseObject({
    deploymentId: z.string(),
    targets: z.array(z.looseObject({ versionId: z.string(), weightPercent: z.number() })),
  }),
});

/** A rollout as it is answered. */
export const rollout: z.ZodType<Rollout> = answered<Rollout>('Rollout', {
  id: z.string(),
  deploymentId: z.string(),
  candidateVersionId: z.string(),
  baselineVersionId: z.string(),
  candidate: z.string(),
  baseline: z.string(),
  status: z.string(),
  steps: z.array(looseObject),
  stepIndex: whole,
  beganAt: time,
  stepBeganAt: time,
  evaluatedAt: time,
  onInconclusive: z.string(),
  strategy: z.string(),
  onComplete: z.enum(['candidate', 'baseline']),
  rollbackWatchMs: z.number(),
  windowMs: z.number().optional(),
  frozen: looseObject,
  decisions: z.array(looseObject),
  latest: z.array(looseObject),
  reason: z.string(),
  promotion: looseObject.optional(),
  correlationId: z.string(),
  revision: whole,
});
