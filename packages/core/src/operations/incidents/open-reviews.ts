import type { Scope } from '../../contracts/scope.ts';
import { columnIs } from '../every-record.ts';
import { type Incident, incidentFromRecord, incidentKind } from './incident.ts';

/** Incidents of a model that are still to be reviewed, oldest first; at most 10. */
export async function openReviewsOf(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  model: string,
): Promise<readonly Incident[]> {
  const { records } = await metadata.query(workspace, incidentKind, {
    where: { op: 'and', of: [columnIs('model', model), columnIs('reviewOpen', true)] },
    orderBy: [{ by: { from: 'column', name: 'openedAt' }, direction: 'asc' }],
    limit: 10,
  });
  return records.map(incidentFromRecord);
}
