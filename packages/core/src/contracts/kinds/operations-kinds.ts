import type { KindDeclaration } from '../record.ts';

/**
 * Who has which role on which resource, or (with `delegatedBy`) which permissions of another for a time. A
 * revoked one is removed; its history stays.
 */
const roleGrantKind: KindDeclaration = {
  name: 'role_grant',
  columns: {
    principal: { type: 'text', immutable: true },
    role: { type: 'text', optional: true, immutable: true },
    resource: { type: 'text', immutable: true },
    expiresAt: { type: 'integer', optional: true },
    grantedBy: { type: 'text', immutable: true },
    delegatedBy: { type: 'text', optional: true, immutable: true },
  },
  indexes: [['principal'], ['resource']],
  history: 'kept',
};

/** Roles beside the built-in ones; the body has their permissions. */
const accessRoleKind: KindDeclaration = {
  name: 'access_role',
  columns: { name: { type: 'text', immutable: true } },
  unique: [{ name: 'role name', columns: ['name'] }],
  history: 'kept',
};

/** API keys: digests of their secrets, never the secrets. The facet tells when one was last used. */
const apiKeyKind: KindDeclaration = {
  name: 'api_key',
  columns: {
    principal: { type: 'text', immutable: true },
    name: { type: 'text', immutable: true },
    createdBy: { type: 'text', immutable: true },
    expiresAt: { type: 'integer', optional: true },
    revokedAt: { type: 'integer', optional: true },
  },
  indexes: [['principal']],
  facets: { used: { source: 'merged' } },
  history: 'kept',
};

/** What a workspace may use of something, and how much it does: `used` is adjusted by whoever uses it. */
const quotaKind: KindDeclaration = {
  name: 'quota',
  columns: {
    resource: { type: 'text', immutable: true },
    limit: { type: 'integer' },
    used: { type: 'integer' },
    per: { type: 'text', optional: true },
    /** When the period began that `used` is of. */
    period: { type: 'integer' },
    warned: { type: 'boolean' },
  },
  unique: [{ name: 'quota of a resource', columns: ['resource'] }],
  history: 'kept',
};

/** What requests with an idempotency key were answered, for a day; the body has the answer. */
const rememberedAnswerKind: KindDeclaration = {
  name: 'remembered_answer',
  columns: {
    fingerprint: { type: 'text' },
    /** RUNNING, or DONE. */
    state: { type: 'text' },
    /** The process that works on it. */
    owner: { type: 'text' },
    expiresAt: { type: 'integer' },
  },
  indexes: [['expiresAt']],
  history: 'none',
};

/** The kinds that operations keep. */
export const operationsKinds: readonly KindDeclaration[] = [
  roleGrantKind,
  accessRoleKind,
  apiKeyKind,
  quotaKind,
  rememberedAnswerKind,
];
