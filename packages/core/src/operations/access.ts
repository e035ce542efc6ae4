import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Principal } from '../contracts/ports.ts';
import type { Scope } from '../contracts/scope.ts';
import type { AccessAuthorizer } from './access-authorizer.ts';
import { createGrants, type Grants } from './access-grants.ts';
import { createRoles, type Roles } from './access-roles.ts';
import { type ApiKeys, createApiKeys } from './api-keys.ts';
import { assertAllowed } from './decide-and-commit.ts';
import { isPermission, permissions } from './permissions.ts';

/** What to explain. */
export interface ExplainOptions {
  /** A principal, or the id of one. */
  readonly principal: string | Principal;
  /** Such as `model.promote`. */
  readonly action: string;
  /** The workspace when left out; or as grants name it, also `run:<id>`, `version:<model>@<semver>`. */
  readonly resource?: string;
}

/** Why somebody may do something, or what is missing. */
export interface Explanation {
  readonly allowed: boolean;
  readonly reason: string;
  readonly role?: string;
  readonly grantId?: string;
  /** The resource that the grant is on, where that is not the one that was asked for. */
  readonly inheritedFrom?: string;
  /** Whose permission it is, where it is lent. */
  readonly delegatedBy?: string;
  readonly expiresAt?: number;
}

/** Who may do what in a workspace. */
export interface Access extends Grants, Roles, ApiKeys {
  /**
   * Says why, by the rights of this moment. One's own always; others' with `access.read`. Nobody is told of
   * what it refuses.
   */
  explain(options: ExplainOptions): Promise<Explanation>;
  /** Every permission there is, with what it lets one do. */
  listPermissions(): Readonly<Record<string, string>>;
}

const principalShape = z.strictObject({
  id: z.string().min(1).max(255),
  roles: z.array(z.string()),
  scopes: z.array(z.string()).optional(),
  credential: z.string().optional(),
});
const explainShape = z.strictObject({
  principal: z.union([z.string().min(1).max(255), principalShape]),
  action: z.string().refine(isPermission, 'must be a permission; see access.listPermissions()'),
  resource: z.string().max(1300).optional(),
} satisfies Record<keyof ExplainOptions, z.ZodType>);

/** Access, bound to a scope; `authorizer` is undefined where the platform was opened without it. */
export function createAccess(scope: Scope, authorizer: AccessAuthorizer | undefined): Access {
  const { workspace } = scope;
  return {
    ...createGrants(scope, authorizer),
    ...createRoles(scope, authorizer),
    ...createApiKeys(scope, authorizer),

    async explain(options) {
      checkOptions(explainShape, options, 'access.explain');
      const { action, resource = `workspace:${workspace}` } = options;
      const principal = principalOf(options.principal);
      if (principal.id !== scope.principal.id) {
        await assertAllowed(scope, 'access.read', `workspace:${workspace}`);
      }
      const request = { principal, workspace, action, resource };
      if (authorizer === undefined) return scope.authorizer.authorize(request);
      const { allowed, reason, grant, inheritedFrom } = await authorizer.judge(request);
      return {
        allowed,
        reason,
        ...(grant === undefined ? {} : { grantId: grant.id }),
        ...(grant?.role === undefined ? {} : { role: grant.role }),
        ...(grant?.delegatedBy === undefined ? {} : { delegatedBy: grant.delegatedBy }),
        ...(grant?.expiresAt === undefined ? {} : { expiresAt: grant.expiresAt }),
        ...(inheritedFrom === undefined ? {} : { inheritedFrom }),
      };
    },

    listPermissions: () => permissions,
  };
}

function principalOf(given: string | Principal): Principal {
  return typeof given === 'string' ? { id: given, roles: [] } : given;
}
