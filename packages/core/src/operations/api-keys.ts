import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { draftEvent } from '../events/draft-event.ts';
import { assertText, type JsonObject } from '../json.ts';
import type { AccessAuthorizer } from './access-authorizer.ts';
import { digestSecret, keyText, newKeyId, newSecret, type StoredSecret } from './api-key-secret.ts';
import { assertAllowed, commitChanges, decideAndCommit } from './decide-and-commit.ts';
import { columnIs, everyRecord } from './every-record.ts';
import { future } from './grant.ts';
import { covers, expandPermissions } from './permissions.ts';

/** What is known of an API key; its secret is not. */
export interface ApiKey {
  /** Not secret: it stands in the key, in events and in logs. */
  readonly id: string;
  /** As whom it acts. */
  readonly principal: string;
  readonly name: string;
  /** Patterns of permissions; it can do nothing beyond them, and nothing that its principal may not. */
  readonly scopes: readonly string[];
  readonly createdBy: string;
  readonly createdAt: number;
  readonly expiresAt?: number;
  readonly revokedAt?: number;
  /** To within a minute. */
  readonly lastUsedAt?: number;
}

/** A key with its secret, which is told once and kept nowhere. */
export interface NewApiKey {
  readonly key: ApiKey;
  /** What a caller sends: `Authorization: Bearer <secret>`. */
  readonly secret: string;
}

/** What key to make. */
export interface ApiKeyOptions {
  /** As whom it acts, such as `service:trainer`; oneself when left out. */
  readonly principal?: string;
  /** For people: where it is used. */
  readonly name: string;
  /** Such as `['tracking.*', 'run.write']`. */
  readonly scopes: readonly string[];
  /** Until it is revoked when left out. */
  readonly expiresAt?: number | Date;
}

/** API keys of one workspace. */
export interface ApiKeys {
  /**
   * Makes a key. One for somebody else takes `key.manage`, and every permission in its scopes. FORBIDDEN for
   * scopes beyond those of the key that one uses oneself.
   */
  createApiKey(options: ApiKeyOptions): Promise<NewApiKey>;
  /** A new secret; the former one goes on for `overlapMs` (0 when left out, at most 30 days). */
  rotateApiKey(id: string, options?: { readonly overlapMs?: number }): Promise<NewApiKey>;
  /** At once here, within a second in other processes. Twice is fine. */
  revokeApiKey(id: string): Promise<ApiKey>;
  /** One's own, or with `access.read` those of all. Oldest first. */
  listApiKeys(options?: { readonly principal?: string }): Promise<readonly ApiKey[]>;
}

const createShape = z.strictObject({
  principal: z.string().min(1).max(255).optional(),
  name: z.string().min(1).max(255),
  scopes: z.array(z.string()).min(1).max(100),
  expiresAt: z.union([z.number().int(), z.date()]).optional(),
} satisfies Record<keyof ApiKeyOptions, z.ZodType>);
const rotateShape = z.strictObject({
  overlapMs: z
    .number()
    .int()
    .min(0)
    .max(30 * 86_400_000)
    .optional(),
});
const listShape = z.strictObject({ principal: z.string().min(1).max(255).optional() });

/** API keys, bound to a scope. */
export function createApiKeys(scope: Scope, authorizer: AccessAuthorizer | undefined): ApiKeys {
  const { metadata, workspace } = scope;
  const here = `workspace:${workspace}`;

  function emit(type: string, key: string, payload: JsonObject): Change {
    const facts = { type, subject: `key:${key}`, source: 'operations', payload };
    return { op: 'emit', event: draftEvent(scope, facts) };
  }

  async function get(id: string): Promise<StoredRecord> {
    const record = await metadata.find(workspace, 'api_key', assertText(id, 'A key id', 255), {
      facets: ['used'],
    });
    if (record !== undefined) return record;
    throw new KeelsonError('NOT_FOUND', `There is no API key ${id} in workspace ${workspace}.`);
  }

  /** A key of one's own, or anybody's for those who may. */
  async function assertManaged(id: string): Promise<void> {
    const found = await metadata.find(workspace, 'api_key', assertText(id, 'A key id', 255));
    const own = found?.columns['principal'] === scope.principal.id;
    await assertAllowed(scope, own ? 'key.create' : 'key.manage', here);
  }

  async function change(
    id: string,
    decide: (record: StoredRecord) => readonly Change[],
  ): Promise<ApiKey> {
    await decideAndCommit(scope, async () => {
      const record = await get(id);
      return { changes: decide(record), result: undefined };
    });
    const record = await get(id);
    authorizer?.forget(record.columns['principal'] as string);
    return keyFromRecord(record);
  }

  async function assertScopes(scopes: readonly string[], forOther: boolean): Promise<void> {
    for (const action of expandPermissions(scopes)) {
      if (scope.principal.scopes !== undefined && !covers(scope.principal.scopes, action)) {
        throw new KeelsonError(
          'FORBIDDEN',
          `A key made with a key has no more scopes than that one, and it has no ${action}.`,
          { details: { principal: scope.principal.id, action, resource: here } },
        );
      }
      if (forOther) await assertAllowed(scope, action, here);
    }
  }

  return {
    async createApiKey(options) {
      checkOptions(createShape, options, 'access.createApiKey');
      const { name, scopes, principal = scope.principal.id } = options;
      const forOther = principal !== scope.principal.id;
      await assertAllowed(scope, forOther ? 'key.manage' : 'key.create', here);
      await assertScopes(scopes, forOther);
      const id = newKeyId();
      const secret = newSecret();
      const columns = {
        principal,
        name,
        createdBy: scope.principal.id,
        expiresAt: future(scope, options.expiresAt),
      };
      const body = { scopes, secrets: [{ sha256: digestSecret(secret) }] };
      await commitChanges(scope, [
        { op: 'create', kind: 'api_key', id, columns, body },
        emit('access.key_created', id, { keyId: id, principal, name, scopes }),
      ]);
      const key = keyFromRecord(await get(id));
      return { key, secret: keyText({ workspace, id, secret }) };
    },

    async rotateApiKey(id, options = {}) {
      checkOptions(rotateShape, options, 'access.rotateApiKey');
      await assertManaged(id);
      const until = scope.clock.now() + (options.overlapMs ?? 0);
      const secret = newSecret();
      const key = await change(id, (record) => {
        if (record.columns['revokedAt'] !== undefined) {
          throw new KeelsonError('CONFLICT', `API key ${id} is revoked; make another.`);
        }
        const { secrets, ...body } = record.body as JsonObject & { secrets: StoredSecret[] };
        const former = secrets
          .filter((each) => (each.until ?? until) > scope.clock.now())
          .map((each) => ({ ...each, until: Math.min(each.until ?? until, until) }))
          .filter((each) => each.until > scope.clock.now());
        return [
          {
            op: 'replace',
            kind: 'api_key',
            id,
            expect: record.revision,
            body: { ...body, secrets: [{ sha256: digestSecret(secret) }, ...former].slice(0, 10) },
          },
          emit('access.key_rotated', id, { keyId: id, formerUntil: until }),
        ];
      });
      return { key, secret: keyText({ workspace, id, secret }) };
    },

    async revokeApiKey(id) {
      await assertManaged(id);
      return change(id, (record) => {
        if (record.columns['revokedAt'] !== undefined) return [];
        const columns = { revokedAt: scope.clock.now() };
        return [
          { op: 'replace', kind: 'api_key', id, expect: record.revision, columns },
          emit('access.key_revoked', id, { keyId: id }),
        ];
      });
    },

    async listApiKeys(options = {}) {
      checkOptions(listShape, options, 'access.listApiKeys');
      const own = options.principal === scope.principal.id;
      await assertAllowed(scope, own ? 'key.create' : 'access.read', here);
      const { principal } = options;
      const where = principal === undefined ? {} : { where: columnIs('principal', principal) };
      const keys: ApiKey[] = [];
      for await (const record of everyRecord(scope, 'api_key', { ...where, facets: ['used'] })) {
        keys.push(keyFromRecord(record));
      }
      return keys.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
    },
  };
}

/** A key as it is shown: without digests. */
export function keyFromRecord(record: StoredRecord): ApiKey {
  const { principal, name, createdBy, expiresAt, revokedAt } = record.columns as {
    principal: string;
    name: string;
    createdBy: string;
    expiresAt?: number;
    revokedAt?: number;
  };
  const lastUsedAt = record.facets['used']?.['at'] as number | undefined;
  return {
    id: record.id,
    principal,
    name,
    createdBy,
    scopes: record.body['scopes'] as readonly string[],
    createdAt: record.createdAt,
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(revokedAt === undefined ? {} : { revokedAt }),
    ...(lastUsedAt === undefined ? {} : { lastUsedAt }),
  };
}
