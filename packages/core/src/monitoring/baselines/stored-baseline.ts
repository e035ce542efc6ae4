import type { StoredRecord } from '../../contracts/record.ts';
import type { Baseline } from './baseline.ts';

/** A baseline of a version that a deployment serves. */
export interface StoredBaseline {
  readonly id: string;
  readonly deploymentId: string;
  readonly deployment: string;
  readonly versionId: string;
  /** Epoch ms. */
  readonly setAt: number;
  readonly reason?: string;
  /** Where it comes from. */
  readonly source?: BaselineSource;
  /** It was made of what was first predicted, since nothing was known of the training data. */
  readonly provisional?: true;
  readonly baseline: Baseline;
}

/** Where a baseline comes from. Plain JSON. */
export type BaselineSource =
  | { readonly kind: 'rows' }
  | { readonly kind: 'artifact' | 'training'; readonly artifactId: string }
  /** What was predicted in a while: counts of all, or rows of the log. */
  | {
      readonly kind: 'window';
      readonly from: number;
      readonly to: number;
      readonly of: 'counts' | 'rows';
    }
  /** That of another version of the deployment. */
  | { readonly kind: 'version'; readonly versionId: string };

/** A baseline out of its record. */
export function baselineFromRecord(record: StoredRecord): StoredBaseline {
  const c = record.columns;
  const { deployment, reason, source, provisional, baseline } = record.body as unknown as Pick<
    StoredBaseline,
    'deployment' | 'reason' | 'source' | 'provisional' | 'baseline'
  >;
  return {
    id: record.id,
    deploymentId: c['deploymentId'] as string,
    deployment,
    versionId: c['versionId'] as string,
    setAt: c['setAt'] as number,
    ...(reason === undefined ? {} : { reason }),
    ...(source === undefined ? {} : { source }),
    ...(provisional === true ? { provisional } : {}),
    baseline,
  };
}
