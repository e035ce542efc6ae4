import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Principal } from '../contracts/ports.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { draftEvent } from '../events/draft-event.ts';
import type { JsonObject } from '../json.ts';
import type { AccessAuthorizer } from './access-authorizer.ts';
import { readRoles } from './access-facts.ts';
import { grantResource, platformWorkspace } from './access-resources.ts';
import { assertAllowed, commitChanges, decideAndCommit } from './decide-and-commit.ts';
import { columnIs, everyRecord } from './every-record.ts';
import {
  type DelegateOptions,
  delegateShape,
  filterShape,
  future,
  type Grant,
  type GrantFilter,
  type GrantOptions,
  grantFromRecord,
  grantShape,
  noRole,
  revokeShape,
} from './grant.ts';
import { expandPermissions, type Permission } from './permissions.ts';

/** Grants and delegations. */
export interface Grants {
  /**
   * Gives somebody a role. FORBIDDEN for a role that has more than one's own rights there; NOT_FOUND for a
   * role or an experiment that is none. What is granted twice is there once, with the later options.
   */
  grant(options: GrantOptions): Promise<Grant>;
  /** Takes back a grant or a delegation by its id, or all that match; answers how many there were. */
  revoke(grant: string | (GrantFilter & { readonly reason?: string })): Promise<number>;
  /**
   * Lends permissions on one resource for a time. They last only as long as the lender has them by
   * himself; what was lent cannot be lent on. FORBIDDEN, naming it, for a permission that one has not.
   */
  delegate(options: DelegateOptions): Promise<Grant>;
  /** Of this workspace, those on the platform last. */
  listGrants(filter?: GrantFilter): Promise<readonly Grant[]>;
}

const yearMs = 366 * 86_400_000;

/** Grants, bound to a scope. `authorizer` decides; undefined where everybody may do everything. */
export function createGrants(scope: Scope, authorizer: AccessAuthorizer | undefined): Grants {
  const { metadata, workspace } = scope;
  const places = [workspace, platformWorkspace];
  const here = `workspace:${workspace}`;

  /** What somebody gives is no more than what he has there. */
  async function assertOwn(
    given: ReadonlySet<Permission>,
    resource: string,
    by: 'judge' | 'judgeOwn',
    principal: Principal,
  ): Promise<void> {
    if (authorizer === undefined) return;
    for (const action of given) {
      const verdict = await authorizer[by]({ principal, workspace, action, resource });
      if (verdict.allowed) continue;
      throw new KeelsonError(
        'FORBIDDEN',
        `${principal.id} may not give ${action} on ${resource}, not having it: ${verdict.reason}.`,
        { details: { principal: principal.id, action, resource } },
      );
    }
  }

  /** What is not there is told only to those who may see that it is not. */
  async function resourceFor(action: Permission, resource: string): Promise<string> {
    try {
      return await grantResource(metadata, workspace, resource);
    } catch (error) {
      if (isKeelsonError(error, 'NOT_FOUND')) await assertAllowed(scope, action, here);
      throw error;
    }
  }

  async function write(grant: {
    readonly columns: Readonly<Record<string, string | number | undefined>>;
    readonly body: JsonObject;
    readonly place: string;
    readonly told: (payload: JsonObject) => Change;
    readonly reason: string | undefined;
  }): Promise<Grant> {
    const { columns, body, place } = grant;
    const principal = columns['principal'] as string;
    const grantId = await decideAndCommit({ ...scope, workspace: place }, async () => {
      const same = await findSame(place, columns);
      const recordId = same?.id ?? scope.ids.next();
      const at = { kind: 'role_grant', id: recordId };
      const { expiresAt } = columns;
      const change: Change =
        same === undefined
          ? { op: 'create', ...at, columns, body }
          : { op: 'replace', ...at, expect: same.revision, columns: { expiresAt }, body };
      const payload: JsonObject = {
        grantId: recordId,
        ...(Object.fromEntries(
          Object.entries(columns).filter(([, value]) => value !== undefined),
        ) as JsonObject),
        ...body,
      };
      return {
        changes: [change, grant.told(payload)],
        result: recordId,
        ...(grant.reason === undefined ? {} : { reason: grant.reason }),
      };
    });
    authorizer?.forget(principal);
    const record = await metadata.find(place, 'role_grant', grantId);
    if (record !== undefined) return grantFromRecord(record);
    throw new KeelsonError('CONFLICT', `Grant ${grantId} was revoked in the same moment.`);
  }

  function emit(type: string, principal: string, payload: JsonObject): Change {
    const subject = `principal:${principal}`;
    return {
      op: 'emit',
      event: draftEvent(scope, { type, subject, source: 'operations', payload }),
    };
  }

  async function findSame(
    place: string,
    columns: Readonly<Record<string, string | number | undefined>>,
  ): Promise<StoredRecord | undefined> {
    // What is lent twice is lent twice: each ends by itself.
    if (columns['delegatedBy'] !== undefined) return undefined;
    const there = { metadata, workspace: place };
    const where = columnIs('principal', columns['principal'] as string);
    for await (const record of everyRecord(there, 'role_grant', { where })) {
      const same = ['role', 'resource'].every((name) => record.columns[name] === columns[name]);
      if (same && record.columns['delegatedBy'] === undefined) return record;
    }
    return undefined;
  }

  async function* matching(
    wanted: GrantFilter,
  ): AsyncGenerator<{ readonly place: string; readonly record: StoredRecord }> {
    const resource =
      wanted.resource === undefined
        ? undefined
        : await resourceFor('access.grant', wanted.resource);
    const columns = { principal: wanted.principal, role: wanted.role, resource };
    const of = Object.entries(columns).flatMap(([name, value]) =>
      value === undefined ? [] : [columnIs(name, value)],
    );
    for (const place of places) {
      const there = { metadata, workspace: place };
      for await (const record of everyRecord(there, 'role_grant', { where: { op: 'and', of } })) {
        yield { place, record };
      }
    }
  }

  async function remove(place: string, record: StoredRecord, why: string | undefined) {
    const grant = grantFromRecord(record);
    await assertRevocable(grant);
    const payload: JsonObject = {
      grantId: grant.id,
      principal: grant.principal,
      resource: grant.resource,
      ...(grant.role === undefined ? {} : { role: grant.role }),
    };
    const at = { kind: 'role_grant', id: record.id };
    await commitChanges(
      { ...scope, workspace: place },
      [
        { op: 'remove', ...at, expect: record.revision },
        emit('access.revoked', grant.principal, payload),
      ],
      why,
    );
    authorizer?.forget(grant.principal);
  }

  /** Whoever lent something, and whom it was lent to, may end it. */
  async function assertRevocable(grant: Grant): Promise<void> {
    if (grant.delegatedBy === scope.principal.id) return;
    if (grant.delegatedBy !== undefined && grant.principal === scope.principal.id) return;
    await assertAllowed(scope, 'access.grant', grant.resource);
  }

  return {
    async grant(options) {
      checkOptions(grantShape, options, 'access.grant');
      const resource = await resourceFor('access.grant', options.resource ?? 'workspace');
      await assertAllowed(scope, 'access.grant', resource);
      const place = resource === 'platform' ? platformWorkspace : workspace;
      const permissions = (await readRoles(metadata, place)).get(options.role);
      if (permissions === undefined) throw noRole(options.role, workspace);
      await assertOwn(permissions, resource, 'judge', scope.principal);
      const { stages } = options;
      return write({
        columns: {
          principal: options.principal,
          role: options.role,
          resource,
          expiresAt: future(scope, options.expiresAt),
          grantedBy: scope.principal.id,
        },
        body: {
          ...(stages === undefined ? {} : { stages }),
          ...(options.reason === undefined ? {} : { reason: options.reason }),
        },
        place,
        told: (payload) => emit('access.granted', options.principal, payload),
        reason: options.reason,
      });
    },

    async delegate(options) {
      checkOptions(delegateShape, options, 'access.delegate');
      const resource = await resourceFor('access.delegate', options.resource);
      if (resource === 'platform' || resource.startsWith('workspace:')) {
        throw new KeelsonError(
          'INVALID',
          'Permissions are lent on one experiment, model, deployment or pipeline; grant a role for more.',
        );
      }
      await assertAllowed(scope, 'access.delegate', resource);
      const given = expandPermissions(options.permissions);
      // By what he has now under this credential, and by what is written down of him: the first bounds what
      // he may give, the second is what it rests on later.
      await assertOwn(given, resource, 'judge', scope.principal);
      await assertOwn(given, resource, 'judgeOwn', { id: scope.principal.id, roles: [] });
      const expiresAt = future(scope, options.expiresAt) as number;
      if (expiresAt > scope.clock.now() + yearMs) {
        throw new KeelsonError('INVALID', 'Permissions are lent for a year at most.');
      }
      return write({
        columns: {
          principal: options.to,
          resource,
          expiresAt,
          grantedBy: scope.principal.id,
          delegatedBy: scope.principal.id,
        },
        body: {
          permissions: [...given],
          ...(options.reason === undefined ? {} : { reason: options.reason }),
        },
        place: workspace,
        told: (payload) => emit('access.delegated', options.to, payload),
        reason: options.reason,
      });
    },

    async revoke(which) {
      if (typeof which === 'string') {
        for (const place of places) {
          const record = await metadata.find(place, 'role_grant', which.slice(0, 1000));
          if (record === undefined) continue;
          await remove(place, record, undefined);
          return 1;
        }
        await assertAllowed(scope, 'access.grant', here);
        return 0;
      }
      checkOptions(revokeShape, which, 'access.revoke');
      const { reason: why, ...wanted } = which;
      if (Object.values(wanted).every((value) => value === undefined)) {
        throw new KeelsonError('INVALID', 'access.revoke takes a principal, a role or a resource.');
      }
      const found = await Array.fromAsync(matching(wanted));
      if (found.length === 0) await assertAllowed(scope, 'access.grant', here);
      // All are looked at before the first goes.
      for (const { record } of found) await assertRevocable(grantFromRecord(record));
      for (const { place, record } of found) await remove(place, record, why);
      return found.length;
    },

    async listGrants(wanted = {}) {
      checkOptions(filterShape, wanted, 'access.listGrants');
      const found = await Array.fromAsync(matching(wanted));
      return found.map(({ record }) => grantFromRecord(record));
    },
  };
}
