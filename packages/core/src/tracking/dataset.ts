import { createHash } from 'node:crypto';
import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, canonicalJson, type JsonObject } from '../json.ts';

/** Data that went into a run. */
export interface DatasetInput {
  readonly name: string;
  /** SHA-256 of the content, or a fingerprint of the caller's. */
  readonly digest: string;
  readonly role: 'train' | 'validation' | 'test';
  /** The caller's own word for the role, such as MLflow's `eval`; filters know it by `datasets.context`. */
  readonly context?: string;
  readonly sourceUri?: string;
  readonly schema?: JsonObject;
  readonly rowCount?: number;
  readonly profile?: JsonObject;
}

/** What a dataset may be to a run. */
export const datasetRoles = ['train', 'validation', 'test'] as const;

const shape = z.strictObject({
  name: z.string(),
  digest: z.string(),
  role: z.enum(datasetRoles),
  context: z.string().min(1).optional(),
  sourceUri: z.string().optional(),
  schema: z.looseObject({}).optional(),
  rowCount: z.number().int().min(0).optional(),
  profile: z.looseObject({}).optional(),
} satisfies Record<keyof DatasetInput, z.ZodType>);

/** Refuses a dataset without a name, digest or known role, or with what a dataset has not. */
export function assertDataset(dataset: DatasetInput): DatasetInput {
  checkOptions(shape, dataset, 'A dataset');
  assertText(dataset.name, 'A dataset name', 255);
  assertText(dataset.context ?? '', 'The context of a dataset', 255);
  assertText(dataset.digest, 'A dataset digest', 255);
  if (dataset.sourceUri !== undefined) assertText(dataset.sourceUri, 'A dataset URI', 5000);
  if (dataset.name === '' || dataset.digest === '') {
    throw new KeelsonError('INVALID', 'A dataset needs a name and a digest.');
  }
  return dataset;
}

/** The id of a dataset within a workspace: the same name and digest have the same id everywhere. */
export function datasetId(name: string, digest: string): string {
  const text = canonicalJson([name, digest]);
  return `dataset-${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}
