import type { ModelSignature } from '../contracts/model-runtime.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Json, JsonObject } from '../json.ts';
import type { StagePolicy } from './stage-policy.ts';

/** Where a version stands on its way into production. */
export type Stage = 'DEVELOPMENT' | 'STAGING' | 'PRODUCTION' | 'ARCHIVED';

/** What a version's files are. Pickled files are kept and hashed, never loaded. */
export type ModelFormat =
  | 'ONNX'
  | 'TENSORFLOW'
  | 'PYTORCH'
  | 'SKLEARN'
  | 'XGBOOST'
  | 'PICKLE'
  | 'TFJS'
  | 'JS'
  | 'CUSTOM';

/** One file of a version. */
export interface ModelFile {
  /** Relative to the model's directory. */
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** Where a version came from. Forward edges are found by query, not stored twice. */
export interface ModelLineage {
  readonly sourceRunId?: string;
  readonly codeCommit?: string;
  readonly pipelineExecutionId?: string;
  readonly parentVersionIds: readonly string[];
  /** Free facts, such as the alert that a retraining answers. */
  readonly cause?: JsonObject;
}

/** A named line of versions. */
export interface Model {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly policy: StagePolicy;
  readonly latestVersionId?: string;
  readonly productionVersionId?: string;
  readonly createdBy: string;
  readonly createdAt: number;
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
  readonly status: 'READY' | 'FAILED';
  /** Of the manifest of all files. */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly format: ModelFormat;
  readonly files: readonly ModelFile[];
  readonly signature?: ModelSignature;
  readonly metrics: Readonly<Record<string, number>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly description: string;
  readonly lineage: ModelLineage;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly revision: number;
}

/** A model out of its record. */
export function modelFromRecord(record: StoredRecord): Model {
  const c = record.columns;
  const latest = c['latestVersionId'] as string | undefined;
  const production = c['productionVersionId'] as string | undefined;
  return {
    id: record.id,
    name: c['name'] as string,
    description: (record.body['description'] ?? '') as string,
    tags: (record.facets['tags'] ?? {}) as Record<string, string>,
    policy: record.body['policy'] as unknown as StagePolicy,
    createdBy: c['createdBy'] as string,
    createdAt: record.createdAt,
    revision: record.revision,
    ...(latest === undefined ? {} : { latestVersionId: latest }),
    ...(production === undefined ? {} : { productionVersionId: production }),
  };
}

/** A version out of its record. */
export function modelVersionFromRecord(record: StoredRecord): ModelVersion {
  const c = record.columns;
  const signature = record.body['signature'] as Json | undefined;
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
    files: record.body['files'] as unknown as readonly ModelFile[],
    metrics: (record.facets['metrics'] ?? {}) as Record<string, number>,
    tags: (record.facets['tags'] ?? {}) as Record<string, string>,
    description: (c['description'] ?? '') as string,
    lineage: record.body['lineage'] as unknown as ModelLineage,
    createdBy: c['createdBy'] as string,
    createdAt: record.createdAt,
    revision: record.revision,
    ...(signature === undefined || signature === null
      ? {}
      : { signature: signature as unknown as ModelSignature }),
  };
}
