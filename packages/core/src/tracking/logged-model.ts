import { z } from 'zod';
import type { StoredRecord } from '../contracts/record.ts';
import type {
  FilterAttribute,
  FilterVocabulary,
  ValueType,
} from '../language/filter-vocabulary.ts';
import { optional } from './run.ts';

/** Whether a logged model's files are all there. */
export type LoggedModelStatus = 'PENDING' | 'READY' | 'FAILED';

/** A metric of a logged model, on a dataset where one is named. */
export interface LoggedModelMetric {
  readonly key: string;
  readonly value: number;
  readonly step: number;
  readonly timestamp: number;
  readonly runId?: string;
  readonly datasetName?: string;
  readonly datasetDigest?: string;
}

/** A model that a run has logged, before it is registered: one of several, say, out of which the best is chosen. */
export interface LoggedModel {
  readonly id: string;
  readonly experimentId: string;
  /** The run whose artifacts its files are, below `artifactPath`. */
  readonly runId: string;
  readonly artifactPath: string;
  /** The run that made it; none for one that was logged outside of runs. */
  readonly sourceRunId?: string;
  readonly name: string;
  readonly modelType?: string;
  readonly status: LoggedModelStatus;
  readonly params: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly metrics: readonly LoggedModelMetric[];
  /** Runs that it went into. */
  readonly inputOf: readonly string[];
  /** Runs that it came out of → at which step. */
  readonly outputOf: Readonly<Record<string, number>>;
  readonly lifecycle: 'active' | 'deleted';
  readonly createdBy: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** A logged model to be. */
export interface NewLoggedModel {
  /** The run whose artifacts its files will be; NOT_FOUND when there is none. */
  readonly runId: string;
  readonly sourceRunId?: string;
  /** 1 to 255 characters. */
  readonly name: string;
  readonly modelType?: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly tags?: Readonly<Record<string, string>>;
}

/** What of a logged model may be changed; `null` takes a tag away. Metrics and links are added to those there are. */
export interface LoggedModelChange {
  readonly status?: LoggedModelStatus;
  readonly tags?: Readonly<Record<string, string | null>>;
  readonly params?: Readonly<Record<string, string>>;
  readonly metrics?: readonly LoggedModelMetric[];
  readonly inputOf?: readonly string[];
  readonly outputOf?: Readonly<Record<string, number>>;
}

const texts = z.record(z.string().min(1).max(250), z.string().max(100_000));

/** The shape of {@link NewLoggedModel}. */
export const newLoggedModel: z.ZodObject = z.strictObject({
  runId: z.string(),
  sourceRunId: z.string().optional(),
  name: z.string().min(1).max(255),
  modelType: z.string().max(255).optional(),
  params: texts.optional(),
  tags: texts.optional(),
} satisfies Record<keyof NewLoggedModel, z.ZodType>);

const metric = z.strictObject({
  key: z.string().min(1).max(255),
  value: z.custom<number>((value) => typeof value === 'number', 'must be a number'),
  step: z.number().int(),
  timestamp: z.number(),
  runId: z.string().optional(),
  datasetName: z.string().max(500).optional(),
  datasetDigest: z.string().max(500).optional(),
} satisfies Record<keyof LoggedModelMetric, z.ZodType>);

/** The shape of {@link LoggedModelChange}. */
export const loggedModelChange: z.ZodObject = z.strictObject({
  status: z.enum(['PENDING', 'READY', 'FAILED']).optional(),
  tags: z.record(z.string().min(1).max(250), z.string().max(100_000).nullable()).optional(),
  params: texts.optional(),
  metrics: z.array(metric).optional(),
  inputOf: z.array(z.string()).optional(),
  outputOf: z.record(z.string(), z.number().int()).optional(),
} satisfies Record<keyof LoggedModelChange, z.ZodType>);

/** The facets that {@link loggedModelFromRecord} reads. */
export const loggedModelFacets = ['params', 'tags', 'metrics', 'inputOf', 'outputOf'] as const;

/** A logged model out of its record. */
export function loggedModelFromRecord(record: StoredRecord): LoggedModel {
  const { columns: c, facets } = record;
  return {
    id: record.id,
    experimentId: c['experimentId'] as string,
    runId: c['runId'] as string,
    artifactPath: `models/${record.id}`,
    name: c['name'] as string,
    status: c['status'] as LoggedModelStatus,
    lifecycle: c['lifecycle'] as LoggedModel['lifecycle'],
    createdBy: c['createdBy'] as string,
    params: (facets['params'] ?? {}) as Record<string, string>,
    tags: (facets['tags'] ?? {}) as Record<string, string>,
    metrics: (record.body['metrics'] ?? []) as unknown as LoggedModelMetric[],
    inputOf: Object.keys(facets['inputOf'] ?? {}),
    outputOf: (facets['outputOf'] ?? {}) as Record<string, number>,
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
    ...optional('sourceRunId', c['sourceRunId'] as string | undefined),
    ...optional('modelType', c['modelType'] as string | undefined),
  };
}

/** What the words of a search of logged models mean, MLflow's among them. `metrics` are the last of each key. */
export const loggedModelVocabulary: FilterVocabulary = {
  scopes: {
    metrics: { in: 'facet', facet: 'metrics', holds: 'number' },
    params: { in: 'facet', facet: 'params', holds: 'any' },
    tags: { in: 'facet', facet: 'tags', holds: 'any' },
    attributes: { in: 'attributes' },
  },
  attributes: {
    id: column('id', 'text'),
    model_id: column('id', 'text'),
    name: column('name', 'text'),
    model_type: column('modelType', 'text'),
    status: column('status', 'text'),
    source_run_id: column('sourceRunId', 'text'),
    run_id: column('runId', 'text'),
    experiment_id: column('experimentId', 'text'),
    created: column('createdAt', 'time'),
    creation_timestamp: column('createdAt', 'time'),
    updated: column('updatedAt', 'time'),
    last_updated_timestamp: column('updatedAt', 'time'),
  },
};

function column(name: string, holds: ValueType): FilterAttribute {
  return { selector: { from: 'column', name }, holds };
}
