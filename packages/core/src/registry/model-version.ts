import type { ModelFacts, ModelFormat } from '../contracts/model-format.ts';
import type { ModelSignature } from '../contracts/model-runtime.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { JsonObject } from '../json.ts';
import { optional } from '../tracking/run.ts';
import type { StagePolicy } from './stage-policy.ts';

/** Where a version stands on its way into production. */
export type Stage = 'DEVELOPMENT' | 'STAGING' | 'PRODUCTION' | 'ARCHIVED';

/** One file of a version. */
export interface ModelFile {
  /** Relative to the model's directory. */
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** Data that a version was made from. */
export interface LineageDataset {
  /** As the run logged it, or as the caller knows it. */
  readonly digest: string;
  readonly name?: string;
  /** Such as `train` or `validation`. */
  readonly role?: string;
}

/** Where a version came from. Forward edges are found by query, not stored twice. */
export interface ModelLineage {
  readonly sourceRunId?: string;
  readonly codeCommit?: string;
  readonly pipelineExecutionId?: string;
  /** Fine-tuned or composed from. They exist before this version, and never change. */
  readonly parentVersionIds: readonly string[];
  /** Those beside the datasets of the run. */
  readonly datasets?: readonly LineageDataset[];
  readonly environment?: {
    /** Of the lock file. */
    readonly lockHash?: string;
    /** Of the container, by digest. */
    readonly image?: string;
  };
  /** Versions of feature sets, such as `clicks@3`. */
  readonly featureSets?: readonly string[];
  /** Free facts, such as the alert that a retraining answers. */
  readonly cause?: JsonObject;
}

/** What first made a model known. */
export type ModelOrigin = 'EXPERIMENT' | 'IMPORT' | 'PIPELINE';

/** A named line of versions. */
export interface Model {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly source: ModelOrigin;
  readonly policy: StagePolicy;
  /** Movable pointers, such as `champion`: alias → id of a version. */
  readonly aliases: Readonly<Record<string, string>>;
  readonly latestVersionId?: string;
  /** Where the policy allows one in production; of several, the one that came last. */
  readonly productionVersionId?: string;
  /** The transition whose effects are running. */
  readonly applyingTransitionId?: string;
  readonly deletedAt?: number;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly revision: number;
}

/** One version of a model: its core never changes. */
export interface ModelVersion {
  readonly id: string;
  readonly modelId: string;
  readonly model: string;
  /** 1, 2, 3 … without gaps, never used again. */
  readonly number: number;
  /** Semver, never used again. */
  readonly version: string;
  readonly stage: Stage;
  /** FAILED: its content was found damaged; `failure` says what. */
  readonly status: 'READY' | 'FAILED';
  readonly failure?: string;
  /** Of the manifest of all files. */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly format: ModelFormat;
  readonly files: readonly ModelFile[];
  readonly signature?: ModelSignature;
  /** What else its files tell. */
  readonly facts?: Pick<ModelFacts, 'framework' | 'details' | 'notes'>;
  readonly metrics: Readonly<Record<string, number>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly description: string;
  readonly lineage: ModelLineage;
  /** What point to it now. */
  readonly aliases: readonly string[];
  /** Suite → the newest outcome. */
  readonly validations: Readonly<Record<string, 'PASSED' | 'FAILED'>>;
  readonly deprecated?: {
    readonly at: number;
    readonly reason: string;
    readonly replacementId?: string;
  };
  readonly deletedAt?: number;
  /** Its content is given up: it cannot be restored. */
  readonly purgedAt?: number;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly revision: number;
}

/** The facets that {@link modelVersionFromRecord} reads. */
export const versionFacets = ['tags', 'metrics', 'aliases', 'validations'] as const;

/** A model out of its record. */
export function modelFromRecord(record: StoredRecord): Model {
  const { columns: c, body } = record;
  return {
    id: record.id,
    name: c['name'] as string,
    description: (body['description'] ?? '') as string,
    tags: (record.facets['tags'] ?? {}) as Record<string, string>,
    source: (c['source'] ?? 'IMPORT') as ModelOrigin,
    policy: body['policy'] as unknown as StagePolicy,
    aliases: (body['aliases'] ?? {}) as Record<string, string>,
    createdBy: c['createdBy'] as string,
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
    revision: record.revision,
    ...optional('latestVersionId', c['latestVersionId'] as string | undefined),
    ...optional('productionVersionId', c['productionVersionId'] as string | undefined),
    ...optional('applyingTransitionId', c['applyingId'] as string | undefined),
    ...optional('deletedAt', c['deletedAt'] as number | undefined),
  };
}

/** A version out of its record. */
export function modelVersionFromRecord(record: StoredRecord): ModelVersion {
  const { columns: c, body, facets } = record;
  return {
    id: record.id,
    modelId: c['modelId'] as string,
    model: c['modelName'] as string,
    number: c['number'] as number,
    version: c['version'] as string,
    stage: c['stage'] as Stage,
    status: c['status'] as 'READY' | 'FAILED',
    sha256: c['sha256'] as string,
    sizeBytes: c['sizeBytes'] as number,
    format: c['format'] as ModelFormat,
    files: body['files'] as unknown as readonly ModelFile[],
    metrics: (facets['metrics'] ?? {}) as Record<string, number>,
    tags: (facets['tags'] ?? {}) as Record<string, string>,
    description: (c['description'] ?? '') as string,
    lineage: body['lineage'] as unknown as ModelLineage,
    aliases: Object.keys(facets['aliases'] ?? {}).sort(),
    validations: (facets['validations'] ?? {}) as ModelVersion['validations'],
    createdBy: c['createdBy'] as string,
    createdAt: record.createdAt,
    revision: record.revision,
    ...optional('facts', (body['facts'] ?? undefined) as unknown as ModelVersion['facts']),
    ...optional('failure', c['failure'] as string | undefined),
    ...optional(
      'signature',
      (body['signature'] ?? undefined) as unknown as ModelSignature | undefined,
    ),
    ...optional('deprecated', deprecationOf(record)),
    ...optional('deletedAt', c['deletedAt'] as number | undefined),
    ...optional('purgedAt', c['purgedAt'] as number | undefined),
  };
}

function deprecationOf({ columns }: StoredRecord): ModelVersion['deprecated'] {
  const at = columns['deprecatedAt'] as number | undefined;
  if (at === undefined) return undefined;
  return {
    at,
    reason: (columns['deprecation'] ?? '') as string,
    ...optional('replacementId', columns['replacementId'] as string | undefined),
  };
}
