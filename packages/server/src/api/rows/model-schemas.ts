import type { Model, ModelVersion, Stage, StageTransition } from '@keelson/core';
import { z } from 'zod';
import { answered, looseObject, tags, time, whole } from '../schemas.ts';
import { figures } from './run-schemas.ts';

/** Which model. */
export interface OneModel {
  readonly name: string;
}

/** Which version of a model. */
export interface OneVersion extends OneModel {
  /** Semver, number, alias, range, `latest`, or a stage. */
  readonly version: string;
}

/** The parameter of a version in a path. */
export const versionParam: { readonly version: z.ZodType } = {
  version: z
    .string()
    .min(1)
    .describe('1.4.0, 3 (its number), champion (an alias), ^1.2, latest, production'),
};

/** A stage in any case, as it is sent. */
export const anyStage: z.ZodType<string> = z
  .string()
  .regex(
    /^(development|staging|production|archived)$/i,
    'must be DEVELOPMENT, STAGING, PRODUCTION or ARCHIVED',
  );

/** A stage that was sent in any case. */
export function stageOf(text: string): Stage {
  return text.toUpperCase() as Stage;
}

const stage = z.enum(['DEVELOPMENT', 'STAGING', 'PRODUCTION', 'ARCHIVED']);

/** Fields of a model. */
export const modelFields: { readonly [K in keyof Model]-?: z.ZodType } = {
  id: z.string(),
  name: z.string(),
  description: z.string(),
  tags,
  source: z.enum(['EXPERIMENT', 'IMPORT', 'PIPELINE']),
  policy: looseObject,
  aliases: tags,
  latestVersionId: z.string().optional(),
  productionVersionId: z.string().optional(),
  applyingTransitionId: z.string().optional(),
  deletedAt: time.optional(),
  createdBy: z.string(),
  createdAt: time,
  updatedAt: time,
  revision: whole,
};

/** A model as it is answered. */
export const model: z.ZodType<Model> = answered<Model>('Model', modelFields);

/** Fields of a version. */
export const versionFields: { readonly [K in keyof ModelVersion]-?: z.ZodType } = {
  id: z.string(),
  modelId: z.string(),
  model: z.string(),
  number: whole,
  version: z.string(),
  stage,
  status: z.enum(['READY', 'FAILED']),
  failure: z.string().optional(),
  sha256: z.string(),
  sizeBytes: whole,
  format: z.string(),
  files: z.array(z.looseObject({ path: z.string(), sha256: z.string(), sizeBytes: whole })),
  signature: looseObject.optional(),
  facts: looseObject.optional(),
  metrics: figures,
  tags,
  description: z.string(),
  lineage: looseObject,
  aliases: z.array(z.string()),
  validations: z.record(z.string(), z.enum(['PASSED', 'FAILED'])),
  deprecated: z.looseObject({ at: time, reason: z.string() }).optional(),
  deletedAt: time.optional(),
  purgedAt: time.optional(),
  createdBy: z.string(),
  createdAt: time,
  revision: whole,
};

/** A version as it is answered. */
export const modelVersion: z.ZodType<ModelVersion> = answered<ModelVersion>(
  'ModelVersion',
  versionFields,
);

/** A transition as it is answered. */
export const transition: z.ZodType<StageTransition> = answered<StageTransition>('StageTransition', {
  id: z.string(),
  modelId: z.string(),
  versionId: z.string(),
  from: stage,
  to: stage,
  requestedBy: z.string(),
  requestedAt: time,
  reason: z.string(),
  status: z.enum(['PENDING', 'APPLYING', 'DONE', 'FAILED', 'REJECTED', 'WITHDRAWN', 'EXPIRED']),
  ended: z.string().optional(),
  emergency: z.boolean(),
  expiresAt: time.optional(),
  sagaId: z.string().optional(),
  replacementId: z.string().optional(),
  checks: z.array(looseObject),
  approvals: z.array(looseObject),
  revision: whole,
});
