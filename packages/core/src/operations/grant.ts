import { z } from 'zod';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';

const stageNames = ['DEVELOPMENT', 'STAGING', 'PRODUCTION', 'ARCHIVED'] as const;

/** Who has what, on which resource, given by whom. */
export interface Grant {
  readonly id: string;
  readonly principal: string;
  /** Left out for permissions that somebody lends. */
  readonly role?: string;
  readonly permissions?: readonly string[];
  /** Such as `workspace:default`, `experiment:<id>`, `model:fraud`. */
  readonly resource: string;
  readonly expiresAt?: number;
  /** It counts only for model versions in one of these stages. */
  readonly stages?: readonly string[];
  readonly grantedBy: string;
  /** Whose permissions they are. */
  readonly delegatedBy?: string;
  readonly createdAt: number;
  readonly reason?: string;
}

/** What to grant. */
export interface GrantOptions {
  /** The id: `user:ana`. */
  readonly principal: string;
  /** `viewer`, `contributor`, `editor`, `approver`, `deployer`, `operator`, `admin`, `owner`, or one of your own. */
  readonly role: string;
  /**
   * The workspace when left out; or `platform`, `experiment:<id or name>`, `model:<name>`,
   * `deployment:<name>`, `pipeline:<name>`.
   */
  readonly resource?: string;
  /** Until it is revoked when left out. */
  readonly expiresAt?: number | Date;
  /** Only for model versions in one of these stages. */
  readonly stages?: readonly (typeof stageNames)[number][];
  readonly reason?: string;
}

/** What to lend. */
export interface DelegateOptions {
  /** To whom: `user:ana`. */
  readonly to: string;
  /** Permissions or patterns of one's own. */
  readonly permissions: readonly string[];
  /** One experiment, model, deployment or pipeline, as in {@link GrantOptions}. */
  readonly resource: string;
  /** It ends by then; at most a year from now. */
  readonly expiresAt: number | Date;
  readonly reason?: string;
}

/** Which grants to see or to revoke; several conditions hold together. */
export interface GrantFilter {
  readonly principal?: string;
  readonly role?: string;
  readonly resource?: string;
}

const id = z.string().min(1).max(255);
const time = z.union([z.number().int(), z.date()]);
const reason = z.string().max(2000);
/** What may be handed over. */
export const grantShape: z.ZodObject = z.strictObject({
  principal: id,
  role: id,
  resource: z.string().optional(),
  expiresAt: time.optional(),
  stages: z.array(z.enum(stageNames)).min(1).optional(),
  reason: reason.optional(),
} satisfies Record<keyof GrantOptions, z.ZodType>);
/** What may be handed over. */
export const delegateShape: z.ZodObject = z.strictObject({
  to: id,
  permissions: z.array(z.string()).min(1).max(100),
  resource: z.string(),
  expiresAt: time,
  reason: reason.optional(),
} satisfies Record<keyof DelegateOptions, z.ZodType>);
const filter = { principal: id.optional(), role: id.optional(), resource: z.string().optional() };
/** What may be handed over. */
export const filterShape: z.ZodObject = z.strictObject(
  filter satisfies Record<keyof GrantFilter, z.ZodType>,
);
/** What may be handed over. */
export const revokeShape: z.ZodObject = z.strictObject({ ...filter, reason: reason.optional() });

/** The error of a role that nobody has defined. */
export function noRole(role: string, workspace: string): KeelsonError {
  return new KeelsonError(
    'NOT_FOUND',
    `There is no role ${JSON.stringify(role)} in workspace ${workspace}; see access.listRoles().`,
    { details: { role } },
  );
}

/** A time that is still to come, in epoch ms. INVALID for one that is past. */
export function future(
  scope: Pick<Scope, 'clock'>,
  at: number | Date | undefined,
): number | undefined {
  if (at === undefined) return undefined;
  const ms = at instanceof Date ? at.getTime() : at;
  if (Number.isSafeInteger(ms) && ms > scope.clock.now()) return ms;
  throw new KeelsonError('INVALID', `expiresAt must be a time to come, not ${String(ms)}.`);
}

/** A grant of its record. */
export function grantFromRecord(record: StoredRecord): Grant {
  const { principal, role, resource, expiresAt, grantedBy, delegatedBy } = record.columns as {
    principal: string;
    role?: string;
    resource: string;
    expiresAt?: number;
    grantedBy: string;
    delegatedBy?: string;
  };
  const body = record.body as Pick<Grant, 'permissions' | 'stages' | 'reason'>;
  const facts = { role, expiresAt, delegatedBy };
  return {
    id: record.id,
    principal,
    resource,
    grantedBy,
    createdAt: record.createdAt,
    ...body,
    ...(Object.fromEntries(
      Object.entries(facts).filter(([, value]) => value !== undefined),
    ) as Pick<Grant, 'role' | 'expiresAt' | 'delegatedBy'>),
  };
}
