import { createHash } from 'node:crypto';
import { KeelsonError } from '../errors.ts';
import { assertText, canonicalJson, type JsonObject } from '../json.ts';

/** Data that went into a run. */
export interface DatasetInput {
  readonly name: string;
  /** SHA-256 of the content, or a fingerprint of the caller's. */
  readonly digest: string;
  readonly role: 'train' | 'validation' | 'test';
  readonly sourceUri?: string;
  readonly schema?: JsonObject;
  readonly rowCount?: number;
  readonly profile?: JsonObject;
}

/** Refuses a dataset without a name, digest or known role. */
export function assertDataset(dataset: DatasetInput): DatasetInput {
  assertText(dataset.name, 'A dataset name', 255);
  assertText(dataset.digest, 'A dataset digest', 255);
  if (dataset.name === '' || dataset.digest === '') {
    throw new KeelsonError('INVALID', 'A dataset needs a name and a digest.');
  }
  if (!['train', 'validation', 'test'].includes(dataset.role)) {
    throw new KeelsonError(
      'INVALID',
      `Role ${JSON.stringify(dataset.role)} of dataset ${dataset.name} is none of train, validation, test.`,
    );
  }
  return dataset;
}

/** The id of a dataset within a workspace: the same name and digest have the same id everywhere. */
export function datasetId(name: string, digest: string): string {
  const text = canonicalJson([name, digest]);
  return `dataset-${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}
