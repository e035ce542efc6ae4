import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { columnIs } from '../operations/every-record.ts';
import type { DeploymentRecords } from './deployment-records.ts';
import { type Revision, type RevisionStatus, revisionFromRecord } from './revision.ts';
import { rolloutFromRecord } from './rollout.ts';

/** Which revisions to list. */
export interface RevisionFilter {
  readonly status?: RevisionStatus;
  /** 1 to 1,000; 100 when left out. */
  readonly limit?: number;
  readonly cursor?: string;
}

/** Reads revisions of deployments. */
export interface Revisions {
  /** Newest first, without the stages of their rollouts. */
  listRevisions(
    deployment: string,
    filter?: RevisionFilter,
  ): Promise<{ readonly revisions: readonly Revision[]; readonly cursor?: string }>;
  /** NOT_FOUND for a number that the deployment does not have. */
  getRevision(deployment: string, number: number): Promise<Revision>;
}

const filterShape = z.strictObject({
  status: z
    .enum(['PENDING', 'IN_PROGRESS', 'PAUSED', 'COMPLETED', 'FAILED', 'ROLLED_BACK'])
    .optional(),
  limit: z.number().int().min(1).max(1000).optional(),
  cursor: z.string().optional(),
} satisfies Record<keyof RevisionFilter, z.ZodType>);

/** {@link Revisions} of a scope. */
export function createRevisions(scope: Scope, records: DeploymentRecords): Revisions {
  const { metadata, workspace } = scope;

  return {
    async listRevisions(name, filter = {}) {
      const { status, limit = 100, cursor } = checkOptions(filterShape, filter, 'listRevisions');
      const { id } = await records.get(name);
      const of: Predicate[] = [columnIs('deploymentId', id)];
      if (status !== undefined) of.push(columnIs('rolloutStatus', status));
      const page = await metadata.query(workspace, 'deployment_revision', {
        where: { op: 'and', of },
        orderBy: [{ by: { from: 'column', name: 'number' }, direction: 'desc' }],
        limit,
        ...(cursor === undefined ? {} : { cursor }),
      });
      const revisions = page.records.map((record) => revisionFromRecord(record));
      return page.cursor === undefined ? { revisions } : { revisions, cursor: page.cursor };
    },

    async getRevision(name, number) {
      const { id } = await records.get(name);
      const record = await findRevision(scope, id, assertNumber(number));
      if (record === undefined) {
        throw new KeelsonError('NOT_FOUND', `Deployment ${name} has no revision ${number}.`);
      }
      const rolloutId = record.columns['rolloutId'];
      if (typeof rolloutId !== 'string') return revisionFromRecord(record);
      const rollout = await metadata.find(workspace, 'rollout', rolloutId);
      const stages = rollout === undefined ? [] : rolloutFromRecord(rollout).decisions;
      return revisionFromRecord(record, stages);
    },
  };
}

/** The number of a revision. INVALID for what is none. */
export function assertNumber(number: unknown): number {
  if (Number.isSafeInteger(number) && (number as number) > 0) return number as number;
  throw new KeelsonError('INVALID', 'The number of a revision must be a whole number from 1 on.');
}

/** The record of a deployment's revision. */
export async function findRevision(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  deploymentId: string,
  number: number,
): Promise<StoredRecord | undefined> {
  const where: Predicate = {
    op: 'and',
    of: [columnIs('deploymentId', deploymentId), columnIs('number', number)],
  };
  const { records } = await metadata.query(workspace, 'deployment_revision', { where, limit: 1 });
  return records[0];
}

/** The record of the revision that a rollout is of; rollouts of before have none. */
export async function revisionOfRollout(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  rolloutId: string,
): Promise<StoredRecord | undefined> {
  const where = columnIs('rolloutId', rolloutId);
  const { records } = await metadata.query(workspace, 'deployment_revision', { where, limit: 1 });
  return records[0];
}
