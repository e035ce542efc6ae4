import type {
  ApiKey,
  ApiKeyOptions,
  DelegateOptions,
  Explanation,
  Grant,
  GrantFilter,
  GrantOptions,
  NewApiKey,
  Role,
} from '@keelson/core';
import { z } from 'zod';
import type { Route } from '../route.ts';
import { answered, asked, exampleTime, time, whole } from '../schemas.ts';

interface OneKey {
  readonly keyId: string;
}

interface Explain {
  /** Who asks when left out. */
  readonly principal?: string;
  readonly action: string;
  readonly resource?: string;
}

const text = z.string().min(1).max(255);
const key = answered<ApiKey>('ApiKey', {
  id: z.string(),
  principal: z.string(),
  name: z.string(),
  scopes: z.array(z.string()),
  createdBy: z.string(),
  createdAt: time,
  expiresAt: time.optional(),
  revokedAt: time.optional(),
  lastUsedAt: time.optional(),
});
const newKey = answered<NewApiKey>('NewApiKey', {
  key,
  secret: z.string().describe('Told this once, and kept nowhere'),
});
const grant = answered<Grant>('Grant', {
  id: z.string(),
  principal: z.string(),
  role: z.string().optional(),
  permissions: z.array(z.string()).optional(),
  resource: z.string(),
  expiresAt: time.optional(),
  stages: z.array(z.string()).optional(),
  grantedBy: z.string(),
  delegatedBy: z.string().optional(),
  createdAt: time,
  reason: z.string().optional(),
});
const role = answered<Role>('Role', {
  name: z.string(),
  permissions: z.array(z.string()),
  builtIn: z.boolean(),
});
const expiresAt = z.number().int().describe('Epoch milliseconds');

/** Who may do what, under `/api/v1/access`. */
export const accessRows: {
  readonly keys: Route<{ readonly principal?: string }, { readonly keys: readonly ApiKey[] }>;
  readonly createKey: Route<{ readonly body: ApiKeyOptions }, NewApiKey>;
  readonly rotateKey: Route<
    OneKey & { readonly body?: { readonly overlapMs?: number } },
    NewApiKey
  >;
  readonly revokeKey: Route<OneKey, ApiKey>;
  readonly grants: Route<GrantFilter, { readonly grants: readonly Grant[] }>;
  readonly grant: Route<{ readonly body: GrantOptions }, Grant>;
  readonly delegate: Route<{ readonly body: DelegateOptions }, Grant>;
  readonly revoke: Route<{ readonly grantId: string }, { readonly revoked: number }>;
  readonly roles: Route<object, { readonly roles: readonly Role[] }>;
  readonly defineRole: Route<
    { readonly role: string; readonly body: { readonly permissions: readonly string[] } },
    Role
  >;
  readonly removeRole: Route<{ readonly role: string }, undefined>;
  readonly explain: Route<Explain, Explanation>;
} = {
  keys: {
    method: 'GET',
    path: '/access/keys',
    summary:
      'API keys without their secrets, oldest first; one’s own by `principal` with `key.create`',
    permission: 'access.read',
    query: { principal: text.optional() },
    answers: {
      as: 'json',
      schema: answered<{ readonly keys: readonly ApiKey[] }>('ApiKeys', { keys: z.array(key) }),
    },
    example: {},
    run: async ({ services, input }) => ({
      keys: await services.operations.access.listApiKeys(input),
    }),
  },
  createKey: {
    method: 'POST',
    path: '/access/keys',
    summary: 'Makes an API key; its secret is told this once',
    permission: 'key.create',
    isSecret: true,
    body: asked<ApiKeyOptions>({
      principal: text.describe('As whom it acts; oneself when left out').optional(),
      name: text,
      scopes: z.array(z.string()).min(1).max(100).describe('Such as run.*, or *'),
      expiresAt: expiresAt.optional(),
    }),
    answers: { as: 'json', status: 201, schema: newKey },
    example: { body: { name: 'laptop', scopes: ['tracking.*', 'run.write'] } },
    run: ({ services, input }) => services.operations.access.createApiKey(input.body),
  },
  rotateKey: {
    method: 'POST',
    path: '/access/keys/{keyId}/rotate',
    summary: 'A new secret; the former one goes on for `overlapMs`. One’s own with `key.create`',
    permission: 'key.manage',
    isSecret: true,
    body: asked<{ readonly overlapMs?: number }>({
      overlapMs: whole.describe('0 when left out').optional(),
    }).optional() as never,
    answers: { as: 'json', schema: newKey },
    example: { keyId: 'key-1', body: { overlapMs: 60_000 } },
    run: ({ services, input }) =>
      services.operations.access.rotateApiKey(input.keyId, input.body ?? {}),
  },
  revokeKey: {
    method: 'DELETE',
    path: '/access/keys/{keyId}',
    summary: 'Revokes a key; twice is fine. One’s own with `key.create`',
    permission: 'key.manage',
    answers: { as: 'json', schema: key },
    example: { keyId: 'key-1' },
    run: ({ services, input }) => services.operations.access.revokeApiKey(input.keyId),
  },
  grants: {
    method: 'GET',
    path: '/access/grants',
    summary: 'Who has which role or permission, on what',
    permission: 'access.read',
    query: { principal: text.optional(), role: text.optional(), resource: z.string().optional() },
    answers: {
      as: 'json',
      schema: answered<{ readonly grants: readonly Grant[] }>('Grants', {
        grants: z.array(grant),
      }),
    },
    example: { principal: 'user:ana' },
    run: async ({ services, input }) => ({
      grants: await services.operations.access.listGrants(input),
    }),
  },
  grant: {
    method: 'POST',
    path: '/access/grants',
    summary: 'Gives somebody a role',
    permission: 'access.grant',
    body: asked<GrantOptions>({
      principal: text,
      role: text,
      resource: z.string().describe('Such as model:fraud; the workspace when left out').optional(),
      expiresAt: expiresAt.optional(),
      stages: z
        .array(z.enum(['DEVELOPMENT', 'STAGING', 'PRODUCTION', 'ARCHIVED']))
        .min(1)
        .optional(),
      reason: z.string().max(2000).optional(),
    }),
    answers: { as: 'json', status: 201, schema: grant },
    example: { body: { principal: 'user:bo', role: 'viewer', reason: 'New here' } },
    run: ({ services, input }) => services.operations.access.grant(input.body),
  },
  delegate: {
    method: 'POST',
    path: '/access/delegations',
    summary: 'Lends permissions of one’s own on one resource, for a time',
    permission: 'access.delegate',
    body: asked<DelegateOptions>({
      to: text,
      permissions: z.array(z.string()).min(1).max(100),
      resource: z.string(),
      expiresAt,
      reason: z.string().max(2000).optional(),
    }),
    answers: { as: 'json', status: 201, schema: grant },
    example: {
      body: {
        to: 'user:bo',
        permissions: ['model.read'],
        resource: 'model:churn',
        expiresAt: exampleTime,
      },
    },
    run: ({ services, input }) => services.operations.access.delegate(input.body),
  },
  revoke: {
    method: 'DELETE',
    path: '/access/grants/{grantId}',
    summary: 'Takes back a grant, or what was lent',
    permission: 'access.grant',
    answers: {
      as: 'json',
      schema: answered<{ readonly revoked: number }>('Revoked', { revoked: whole }),
    },
    example: { grantId: 'grant-1' },
    run: async ({ services, input }) => ({
      revoked: await services.operations.access.revoke(input.grantId),
    }),
  },
  roles: {
    method: 'GET',
    path: '/access/roles',
    summary: 'Roles and what they have',
    permission: 'access.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly roles: readonly Role[] }>('Roles', { roles: z.array(role) }),
    },
    example: {},
    run: async ({ services }) => ({ roles: await services.operations.access.listRoles() }),
  },
  defineRole: {
    method: 'PUT',
    path: '/access/roles/{role}',
    summary: 'Makes a role of this workspace, or changes it for all who have it',
    permission: 'access.roles',
    body: asked<{ readonly permissions: readonly string[] }>({
      permissions: z.array(z.string()).min(1).max(100).describe('Such as run.*'),
    }),
    answers: { as: 'json', schema: role },
    example: { role: 'labeller', body: { permissions: ['label.write', 'monitor.read'] } },
    run: ({ services, input }) =>
      services.operations.access.defineRole({ name: input.role, ...input.body }),
  },
  removeRole: {
    method: 'DELETE',
    path: '/access/roles/{role}',
    summary: 'Takes a role away; grants of it give nothing from now on',
    permission: 'access.roles',
    answers: { as: 'nothing' },
    example: { role: 'labeller' },
    async run({ services, input }) {
      await services.operations.access.removeRole(input.role);
      return undefined;
    },
  },
  explain: {
    method: 'GET',
    path: '/access/explain',
    summary: 'Why somebody may do something, or what is missing; of oneself without a permission',
    permission: 'access.read',
    query: {
      principal: text.describe('Who asks, by the key that is used, when left out').optional(),
      action: z.string().describe('A permission, such as model.promote'),
      resource: z.string().describe('The workspace when left out').optional(),
    },
    answers: {
      as: 'json',
      schema: answered<Explanation>('Explanation', {
        allowed: z.boolean(),
        reason: z.string(),
        role: z.string().optional(),
        grantId: z.string().optional(),
        inheritedFrom: z.string().optional(),
        delegatedBy: z.string().optional(),
        expiresAt: time.optional(),
      }),
    },
    example: { principal: 'user:ana', action: 'model.promote' },
    run: ({ services, input: { principal = services.principal, ...asked } }) =>
      services.operations.access.explain({ ...asked, principal }),
  },
};
