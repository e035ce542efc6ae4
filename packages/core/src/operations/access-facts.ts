import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { HeldGrant } from './access-decision.ts';
import { platformWorkspace } from './access-resources.ts';
import { columnIs, everyRecord } from './every-record.ts';
import { isPermission, type Permission } from './permissions.ts';
import { builtInRoles } from './roles.ts';

/** What is written down of a key. */
export interface KeyFacts {
  readonly expiresAt?: number;
  readonly revokedAt?: number;
}

/** Roles by name: those of the workspace go before those of the platform, built-in ones before both. */
export type RoleBook = ReadonlyMap<string, ReadonlySet<Permission>>;

/** The grants of a principal in a workspace, and those on the platform. */
export async function readGrants(
  metadata: MetadataStore,
  workspace: string,
  principal: string,
): Promise<readonly HeldGrant[]> {
  const where = columnIs('principal', principal);
  const held: HeldGrant[] = [];
  const books = [workspace, platformWorkspace] as const;
  for (const place of new Set(books)) {
    let roles: RoleBook | undefined;
    for await (const record of everyRecord({ metadata, workspace: place }, 'role_grant', {
      where,
    })) {
      const { role } = record.columns;
      if (role !== undefined && !builtInRoles.has(role as string)) {
        roles ??= await readRoles(metadata, place);
      }
      held.push(grantFromRecord(record, roles ?? builtInRoles));
    }
  }
  return held;
}

/** All roles that grants in the workspace can name. */
export async function readRoles(metadata: MetadataStore, workspace: string): Promise<RoleBook> {
  const roles = new Map<string, ReadonlySet<Permission>>();
  for (const place of new Set([platformWorkspace, workspace])) {
    for await (const record of everyRecord({ metadata, workspace: place }, 'access_role')) {
      roles.set(record.columns['name'] as string, known(record.body['permissions']));
    }
  }
  for (const [name, role] of builtInRoles) roles.set(name, role);
  return roles;
}

/** What is known of a key of the workspace; undefined when there is none. */
export async function readKey(
  metadata: MetadataStore,
  workspace: string,
  id: string,
): Promise<KeyFacts | undefined> {
  const record = await metadata.find(workspace, 'api_key', id);
  if (record === undefined) return undefined;
  const { expiresAt, revokedAt } = record.columns as { expiresAt?: number; revokedAt?: number };
  return {
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(revokedAt === undefined ? {} : { revokedAt }),
  };
}

function grantFromRecord(record: StoredRecord, roles: RoleBook): HeldGrant {
  const { role, resource, expiresAt, delegatedBy } = record.columns as {
    role?: string;
    resource: string;
    expiresAt?: number;
    delegatedBy?: string;
  };
  const { stages, permissions } = record.body as { stages?: string[]; permissions?: string[] };
  return {
    id: record.id,
    // A role that was removed since gives nothing.
    permissions: role === undefined ? known(permissions) : (roles.get(role) ?? new Set()),
    resource,
    ...(role === undefined ? {} : { role }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(stages === undefined ? {} : { stages }),
    ...(delegatedBy === undefined ? {} : { delegatedBy }),
  };
}

/** Of what was stored, maybe by a newer version: the permissions that this one has. */
function known(names: unknown): ReadonlySet<Permission> {
  return new Set((Array.isArray(names) ? (names as readonly string[]) : []).filter(isPermission));
}
