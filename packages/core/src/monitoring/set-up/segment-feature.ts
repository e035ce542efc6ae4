import type { Scope } from '../../contracts/scope.ts';
import { columnIs } from '../../operations/every-record.ts';
import { setUpFromRecord } from './set-up-record.ts';

/** The feature whose values are the segments of a deployment, where its set-up names one. */
export async function segmentFeature(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  deploymentId: string,
): Promise<string | undefined> {
  const where = columnIs('deploymentId', deploymentId);
  const { records } = await metadata.query(workspace, 'monitoring_set_up', { where, limit: 1 });
  return records[0] && setUpFromRecord(records[0]).options.segmentBy;
}
