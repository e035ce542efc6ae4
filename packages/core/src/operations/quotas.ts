import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Caretaker, HealthCheck } from '../contracts/caretaker.ts';
import type { QuotaResource } from '../contracts/quota.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertAllowed, decideAndCommit } from './decide-and-commit.ts';
import { schedules } from './health/check-schedules.ts';
import { quotaId, type WorkspaceQuotas } from './quota-keeper.ts';
import { fullAt, periodOf, type StoredQuota } from './quota-law.ts';

/** A limit to set. */
export interface QuotaOptions {
  readonly resource: QuotaResource;
  /** Bytes, runs, milliseconds or requests. */
  readonly limit: number;
  /** Use begins anew each day or month (UTC): for `compute` and `requests`; a month when left out. */
  readonly per?: 'day' | 'month';
  /** How far what has begun may go beyond the limit, as a share of it; 0.1 when left out. */
  readonly overdraft?: number;
}

/** How much of a quota is used. */
export interface QuotaUse {
  readonly resource: QuotaResource;
  readonly used: number;
  readonly limit: number;
  readonly per?: 'day' | 'month';
  readonly overdraft: number;
  /** When it will be full as things go, in epoch ms; left out where it does not grow. */
  readonly fullAt?: number;
}

/** What a workspace may use up. */
export interface Quotas {
  /**
   * Limits a resource of this workspace, or limits it anew. At 80 % `storage.quota_warning` is told; at the
   * limit what retention no longer keeps is collected, and then nothing new begins (EXHAUSTED), while what
   * runs may write into the overdraft. Other processes know within a second.
   */
  set(quota: QuotaOptions): Promise<QuotaUse>;
  /** Limits it no longer. NOT_FOUND when nothing does. */
  remove(resource: QuotaResource): Promise<void>;
  list(): Promise<readonly QuotaUse[]>;
}

const resources = ['storage', 'runs', 'compute', 'requests'] as const;
const shape = z.strictObject({
  resource: z.enum(resources),
  limit: z.number().int().min(0),
  per: z.enum(['day', 'month']).optional(),
  overdraft: z.number().min(0).max(1).optional(),
} satisfies Record<keyof QuotaOptions, z.ZodType>);
const removeShape = z.strictObject({ resource: z.enum(resources) });

/** Quotas, bound to a scope. */
export function createQuotas(scope: Scope, keeper: WorkspaceQuotas): Quotas {
  const { metadata, workspace, clock } = scope;
  const here = `workspace:${workspace}`;

  function use(quota: StoredQuota): QuotaUse {
    const { resource, used, limit, per, overdraft } = quota;
    const full = fullAt(quota.samples, quota, clock.now());
    return {
      resource,
      used,
      limit,
      overdraft,
      ...(per === undefined ? {} : { per }),
      ...(full === undefined ? {} : { fullAt: full }),
    };
  }

  return {
    async set(options) {
      checkOptions(shape, options, 'quotas.set');
      const { resource, limit, overdraft = 0.1 } = options;
      const happens = resource === 'compute' || resource === 'requests';
      if (options.per !== undefined && !happens) {
        throw new KeelsonError(
          'INVALID',
          `What a workspace keeps of ${resource} is limited for all time; only compute and requests have a period.`,
        );
      }
      await assertAllowed(scope, 'quota.manage', here);
      const per = happens ? (options.per ?? 'month') : undefined;
      const used = (await keeper.truth(resource)) ?? 0;
      await decideAndCommit(scope, async () => {
        const id = quotaId(resource);
        const record = await metadata.find(workspace, 'quota', id);
        const columns = { limit, per, period: periodOf(per, clock.now()), warned: false };
        if (record === undefined) {
          const body = { overdraft, samples: [] };
          const all = { resource, used, ...columns };
          return {
            changes: [{ op: 'create', kind: 'quota', id, columns: all, body }],
            result: undefined,
          };
        }
        const body = { ...record.body, overdraft };
        const { revision: expect } = record;
        return {
          changes: [{ op: 'replace', kind: 'quota', id, expect, columns, body }],
          result: undefined,
        };
      });
      const found = (await keeper.read()).find((quota) => quota.resource === resource);
      if (found !== undefined) return use(found);
      throw new KeelsonError(
        'CONFLICT',
        `The quota of ${resource} was removed in the same moment.`,
      );
    },

    async remove(resource) {
      checkOptions(removeShape, { resource }, 'quotas.remove');
      await assertAllowed(scope, 'quota.manage', here);
      await decideAndCommit(scope, async () => {
        const record = await metadata.find(workspace, 'quota', quotaId(resource));
        if (record === undefined) {
          throw new KeelsonError(
            'NOT_FOUND',
            `Nothing limits ${resource} in workspace ${workspace}.`,
          );
        }
        const { kind, id, revision: expect } = record;
        return { changes: [{ op: 'remove', kind, id, expect }], result: undefined };
      });
      keeper.forget();
    },

    list: async () => (await keeper.read()).map(use),
  };
}

/** Finds counters that are not what is really there, and mends them. */
export function createQuotaCaretaker(
  scope: Pick<Scope, 'workspace'>,
  keeper: WorkspaceQuotas,
): Caretaker & Required<Pick<Caretaker, 'reconcile'>> {
  return {
    component: 'quotas',
    checks: [quotaCheck(keeper)],
    async reconcile({ mend, signal }) {
      const findings = [];
      for (const { resource, used } of await keeper.read()) {
        signal.throwIfAborted();
        const real = await keeper.truth(resource);
        if (real === undefined || real === used) continue;
        const mended = mend && (await keeper.correct(resource)) !== undefined;
        findings.push({
          component: 'quotas',
          subject: `quota:${resource}`,
          problem: `Workspace ${scope.workspace} counts ${used} of ${resource}, and there are ${real}.`,
          mended,
        });
      }
      return findings;
    },
  };
}

const bufferShare = 0.8;

/** Whether there is room left in what is limited. */
function quotaCheck(keeper: Pick<WorkspaceQuotas, 'read'>): HealthCheck {
  return {
    ...{ ...schedules.resources, failureThreshold: 1 },
    ...{ component: 'quotas', critical: false, kind: 'readiness', shared: true },
    name: 'quotas',
    async run() {
      const quotas = await keeper.read();
      const near = quotas.filter(({ used, limit }) => used >= bufferShare * limit);
      const details = { quotas: quotas.length, near: near.length };
      if (near.length === 0) return { status: 'HEALTHY', message: 'There is room.', details };
      const uses = near.map(({ resource, used, limit }) => `${used} of ${limit} ${resource}`);
      const message = `Four fifths or more are used: ${uses.join(', ')}. Remove what nobody needs, or set a higher limit.`;
      return { status: 'DEGRADED', message, details };
    },
  };
}
