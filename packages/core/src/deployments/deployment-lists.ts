import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { columnIs } from '../operations/every-record.ts';
import type { Deployment, DeploymentStatus, Environment } from './deployment.ts';
import type { DeploymentRecords } from './deployment-records.ts';

/** Which deployments to list. */
export interface DeploymentFilter {
  readonly model?: string;
  readonly environment?: Environment;
  readonly status?: DeploymentStatus;
  /** Those that have all of these. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Whether a rollout or an A/B test is under way. */
  readonly inRollout?: boolean;
  /** 1 to 1,000; 100 when left out. */
  readonly limit?: number;
  readonly cursor?: string;
}

/** One page of deployments. */
export interface DeploymentPage {
  readonly deployments: readonly Deployment[];
  /** Where the next page begins; left out at the end. */
  readonly cursor?: string;
}

const shape = z.strictObject({
  model: z.string().optional(),
  environment: z.enum(['DEVELOPMENT', 'STAGING', 'PRODUCTION']).optional(),
  status: z
    .enum(['CREATING', 'HEALTHY', 'DEGRADED', 'FAILED', 'TERMINATING', 'STOPPED'])
    .optional(),
  tags: z.record(z.string(), z.string()).optional(),
  inRollout: z.boolean().optional(),
  limit: z.number().int().min(1).max(1000).optional(),
  cursor: z.string().optional(),
} satisfies Record<keyof DeploymentFilter, z.ZodType>);

/** One page of the deployments that match, by name. */
export async function listDeployments(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  records: DeploymentRecords,
  filter: DeploymentFilter = {},
): Promise<DeploymentPage> {
  const { limit = 100, cursor, ...wanted } = checkOptions(shape, filter, 'deployments.list');
  const of = predicatesOf(wanted);
  const page = await metadata.query(workspace, 'deployment', {
    ...(of.length === 0 ? {} : { where: { op: 'and', of } as const }),
    orderBy: [{ by: { from: 'column', name: 'name' }, direction: 'asc' }],
    facets: ['tags'],
    limit,
    ...(cursor === undefined ? {} : { cursor }),
  });
  const deployments = await records.read(page.records);
  return page.cursor === undefined ? { deployments } : { deployments, cursor: page.cursor };
}

function predicatesOf(wanted: DeploymentFilter): readonly Predicate[] {
  const { model, environment, status, tags = {}, inRollout } = wanted;
  const active: Predicate = { op: 'present', left: { from: 'column', name: 'activeRolloutId' } };
  return [
    ...(model === undefined ? [] : [columnIs('modelName', model)]),
    ...(environment === undefined ? [] : [columnIs('environment', environment)]),
    ...(status === undefined ? [] : [columnIs('status', status)]),
    ...(inRollout === undefined ? [] : [inRollout ? active : ({ op: 'not', of: active } as const)]),
    ...Object.entries(tags).map(
      ([key, value]): Predicate => ({
        op: 'compare',
        left: { from: 'facet', facet: 'tags', key },
        cmp: '=',
        value,
      }),
    ),
  ];
}
