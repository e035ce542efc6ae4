import { z } from 'zod';
import { count, defineEvent, type EventDefinition, text, texts } from './define-event.ts';

/** Somebody has got a role on a resource. */
export interface AccessGranted {
  readonly grantId: string;
  readonly principal: string;
  readonly role: string;
  readonly resource: string;
  readonly grantedBy: string;
  readonly expiresAt?: number;
  /** The stages of model versions that it is limited to. */
  readonly stages?: readonly string[];
  readonly reason?: string;
}

/** Somebody has lent permissions of his own for a time. */
export interface AccessDelegated {
  readonly grantId: string;
  /** To whom. */
  readonly principal: string;
  readonly permissions: readonly string[];
  readonly resource: string;
  readonly grantedBy: string;
  readonly delegatedBy: string;
  readonly expiresAt: number;
  readonly reason?: string;
}

/** A role or what was lent was taken back. */
export interface AccessRevoked {
  readonly grantId: string;
  readonly principal: string;
  readonly resource: string;
  readonly role?: string;
}

/** Somebody was refused something. */
export interface AccessRefused {
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  readonly reason: string;
  /** The API key that was used. */
  readonly credential?: string;
  /** Refusals before this one that were too many to be kept. */
  readonly leftOut?: number;
}

/** Somebody did something by a permission that another lends him. */
export interface DelegationUsed {
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  readonly grantId: string;
  readonly delegatedBy: string;
  readonly credential?: string;
  readonly leftOut?: number;
}

/** A role of one's own was defined, or defined anew. */
export interface RoleDefined {
  readonly name: string;
  readonly permissions: readonly string[];
}

/** A role of one's own was removed; who has it has nothing by it any more. */
export interface RoleRemoved {
  readonly name: string;
}

/** An API key was made. */
export interface KeyCreated {
  readonly keyId: string;
  readonly principal: string;
  readonly name: string;
  readonly scopes: readonly string[];
}

/** An API key has a new secret. */
export interface KeyRotated {
  readonly keyId: string;
  /** Until when the former one is good. */
  readonly formerUntil: number;
}

/** An API key is good for nothing any more. */
export interface KeyRevoked {
  readonly keyId: string;
}

/** The events of access. */
export interface AccessEventPayloads {
  readonly 'access.granted': AccessGranted;
  readonly 'access.delegated': AccessDelegated;
  readonly 'access.revoked': AccessRevoked;
  readonly 'access.refused': AccessRefused;
  readonly 'access.delegation_used': DelegationUsed;
  readonly 'access.role_defined': RoleDefined;
  readonly 'access.role_removed': RoleRemoved;
  readonly 'access.key_created': KeyCreated;
  readonly 'access.key_rotated': KeyRotated;
  readonly 'access.key_revoked': KeyRevoked;
}

const grantId = '0198c0de-0000-7000-8000-000000000070';
const ofPrincipal = { source: 'operations', subject: 'principal:{principal}' };
const ofRole = { source: 'operations', subject: 'role:{name}' };
const ofKey = { source: 'operations', subject: 'key:{keyId}' };
const keyId = 'q3Jk0yXbW8aZ';
const noted = { credential: text.optional(), leftOut: count.optional() };

/** The definitions of the events of access. */
export const accessEvents: {
  readonly [T in keyof AccessEventPayloads]: EventDefinition<AccessEventPayloads[T]>;
} = {
  'access.granted': defineEvent<AccessGranted>({
    ...ofPrincipal,
    meaning: 'Somebody has got a role on a resource.',
    fields: {
      grantId: text,
      principal: text,
      role: text,
      resource: text,
      grantedBy: text,
      expiresAt: count.optional(),
      stages: texts.optional(),
      reason: z.string().optional(),
    },
    example: {
      grantId,
      principal: 'user:ana',
      role: 'editor',
      resource: 'workspace:default',
      grantedBy: 'user:lead',
    },
  }),
  'access.delegated': defineEvent<AccessDelegated>({
    ...ofPrincipal,
    meaning: 'Somebody has lent permissions of his own for a time.',
    fields: {
      grantId: text,
      principal: text,
      permissions: texts,
      resource: text,
      grantedBy: text,
      delegatedBy: text,
      expiresAt: count,
      reason: z.string().optional(),
    },
    example: {
      grantId,
      principal: 'user:ben',
      permissions: ['model.promote'],
      resource: 'model:fraud',
      grantedBy: 'user:ana',
      delegatedBy: 'user:ana',
      expiresAt: 1767225600000,
      reason: 'holidays',
    },
  }),
  'access.revoked': defineEvent<AccessRevoked>({
    ...ofPrincipal,
    meaning: 'A role, or what was lent, was taken back.',
    fields: { grantId: text, principal: text, resource: text, role: text.optional() },
    example: { grantId, principal: 'user:ana', resource: 'workspace:default', role: 'editor' },
  }),
  'access.refused': defineEvent<AccessRefused>({
    ...ofPrincipal,
    meaning:
      'Somebody was refused something. At most 20 a minute are kept for each, the rest counted.',
    fields: { principal: text, action: text, resource: text, reason: text, ...noted },
    example: {
      principal: 'user:eve',
      action: 'model.promote',
      resource: 'model:fraud',
      reason: 'no role of user:eve there allows it',
    },
  }),
  'access.delegation_used': defineEvent<DelegationUsed>({
    ...ofPrincipal,
    meaning: 'Somebody did something by a permission that another lends him.',
    fields: {
      principal: text,
      action: text,
      resource: text,
      grantId: text,
      delegatedBy: text,
      ...noted,
    },
    example: {
      principal: 'user:ben',
      action: 'model.promote',
      resource: 'version:fraud@1.2.0',
      grantId,
      delegatedBy: 'user:ana',
    },
  }),
  'access.role_defined': defineEvent<RoleDefined>({
    ...ofRole,
    meaning: 'A role of the workspace was defined, or defined anew.',
    fields: { name: text, permissions: texts },
    example: { name: 'auditor', permissions: ['audit.read', 'event.read'] },
  }),
  'access.role_removed': defineEvent<RoleRemoved>({
    ...ofRole,
    meaning: 'A role of the workspace was removed; who has it has nothing by it any more.',
    fields: { name: text },
    example: { name: 'auditor' },
  }),
  'access.key_created': defineEvent<KeyCreated>({
    ...ofKey,
    meaning: 'An API key was made.',
    fields: { keyId: text, principal: text, name: text, scopes: texts },
    example: { keyId, principal: 'service:trainer', name: 'nightly', scopes: ['run.*'] },
  }),
  'access.key_rotated': defineEvent<KeyRotated>({
    ...ofKey,
    meaning: 'An API key has a new secret; the former one is good for a while.',
    fields: { keyId: text, formerUntil: count },
    example: { keyId, formerUntil: 1767225600000 },
  }),
  'access.key_revoked': defineEvent<KeyRevoked>({
    ...ofKey,
    meaning: 'An API key is good for nothing any more.',
    fields: { keyId: text },
    example: { keyId },
  }),
};
