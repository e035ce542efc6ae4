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
  readonly baseline: Baseline;
}

/** A baseline out of its record. */
export function baselineFromRecord(record: StoredRecord): StoredBaseline {
  const c = record.columns;
  const { deployment, reason, baseline } = record.body as unknown as Pick<
    StoredBaseline,
    'deployment' | 'reason' | 'baseline'
  >;
  return {
    id: record.id,
    deploymentId: c['deploymentId'] as string,
    deployment,
    versionId: c['versionId'] as string,
    setAt: c['setAt'] as number,
    ...(reason === undefined ? {} : { reason }),
    baseline,
  };
}
