import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { draftEvent } from '../events/draft-event.ts';
import { assertText, type JsonObject } from '../json.ts';
import type { AccessAuthorizer } from './access-authorizer.ts';
import { readRoles } from './access-facts.ts';
import { assertAllowed, decideAndCommit } from './decide-and-commit.ts';
import { columnIs } from './every-record.ts';
import { noRole } from './grant.ts';
import { expandPermissions, type Permission } from './permissions.ts';
import { builtInRoles } from './roles.ts';

/** A role and what it has. */
export interface Role {
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly builtIn: boolean;
}

/** Roles beside those that every platform has. */
export interface Roles {
  /**
   * Makes a role of this workspace, or changes it for all who have it. The permissions are names, `run.*` or
   * `*`, and none that one has not. CONFLICT for the name of a built-in role.
   */
  defineRole(role: {
    readonly name: string;
    readonly permissions: readonly string[];
  }): Promise<Role>;
  /** Grants of it give nothing from now on. NOT_FOUND when there is none. */
  removeRole(name: string): Promise<void>;
  listRoles(): Promise<readonly Role[]>;
}

const shape = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'must be lower-case letters, digits and dashes'),
  permissions: z.array(z.string()).min(1).max(100),
});

/** Roles, bound to a scope. */
export function createRoles(scope: Scope, authorizer: AccessAuthorizer | undefined): Roles {
  const { metadata, workspace, principal } = scope;

  async function find(name: string) {
    const query = { where: columnIs('name', name), limit: 1 };
    return (await metadata.query(workspace, 'access_role', query)).records[0];
  }

  function emit(type: string, name: string, payload: JsonObject) {
    const facts = { type, subject: `role:${name}`, source: 'operations', payload };
    return { op: 'emit', event: draftEvent(scope, facts) } as const;
  }

  return {
    async defineRole(role) {
      checkOptions(shape, role, 'access.defineRole');
      const { name } = role;
      if (builtInRoles.has(name)) {
        throw new KeelsonError(
          'CONFLICT',
          `Every platform has a role ${name}; take another name for one of your own.`,
        );
      }
      await assertAllowed(scope, 'access.roles', `workspace:${workspace}`);
      const permissions = [...expandPermissions(role.permissions)];
      for (const action of permissions) {
        await assertAllowed(scope, action, `workspace:${workspace}`);
      }
      await decideAndCommit(scope, async () => {
        const existing = await find(name);
        const body = { permissions };
        const at = { kind: 'access_role', id: existing?.id ?? scope.ids.next() };
        return {
          changes: [
            existing === undefined
              ? { op: 'create', ...at, columns: { name }, body }
              : { op: 'replace', ...at, expect: existing.revision, body },
            emit('access.role_defined', name, { name, permissions }),
          ],
          result: undefined,
        };
      });
      authorizer?.forget();
      return { name, permissions, builtIn: false };
    },

    async removeRole(name) {
      assertText(name, 'A role', 255);
      await assertAllowed(scope, 'access.roles', `workspace:${workspace}`);
      await decideAndCommit(scope, async () => {
        const role = await find(name);
        if (role === undefined) throw noRole(name, workspace);
        return {
          changes: [
            { op: 'remove', kind: 'access_role', id: role.id, expect: role.revision },
            emit('access.role_removed', name, { name }),
          ],
          result: undefined,
          reason: `removed by ${principal.id}`,
        };
      });
      authorizer?.forget();
    },

    async listRoles() {
      const roles = [...(await readRoles(metadata, workspace))];
      return roles.map(([name, has]) => ({
        name,
        permissions: [...has],
        builtIn: builtInRoles.has(name),
      }));
    },
  };
}
