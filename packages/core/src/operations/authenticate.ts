import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { Clock, Logger, Principal } from '../contracts/ports.ts';
import { isOneOf, looksLikeKey, parseKey, type StoredSecret } from './api-key-secret.ts';
import { keyFromRecord } from './api-keys.ts';
import { createTokenVerifier, type TokenOptions } from './bearer-tokens.ts';
import { refused } from './refused-credential.ts';

/** What proves who somebody is. */
export interface Credentials {
  /** An API key, or a JSON web token; without `Bearer `. */
  readonly bearer: string;
}

const shape = z.strictObject({ bearer: z.string().min(1) });
const maxLength = 16_384;
const notedEveryMs = 60_000;
const unknownKey = 'it is none of this platform';

/** Tells who a bearer is. FORBIDDEN, saying why, for one that proves nothing. */
export type Authenticate = (credentials: Credentials) => Promise<Principal>;

/** An {@link Authenticate} over the keys of a store and, with `tokens`, the tokens of an issuer. */
export function createAuthenticate(parts: {
  readonly metadata: MetadataStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly tokens?: TokenOptions;
}): Authenticate {
  const { metadata, clock, logger } = parts;
  const verify = parts.tokens && createTokenVerifier(parts.tokens, parts);

  async function byKey(bearer: string): Promise<Principal> {
    const given = parseKey(bearer);
    if (given === undefined) throw refused('API key', unknownKey);
    const { workspace, id, secret } = given;
    const record = await metadata.find(workspace, 'api_key', id, { facets: ['used'] });
    const now = clock.now();
    const secrets = (record?.body['secrets'] ?? []) as unknown as readonly StoredSecret[];
    // Why comes only for those who have the secret.
    if (record === undefined || !isOneOf(secret, secrets, Number.NEGATIVE_INFINITY)) {
      throw refused('API key', unknownKey);
    }
    const key = keyFromRecord(record);
    if (key.revokedAt !== undefined) throw refused(`API key ${id}`, 'it was revoked');
    if (key.expiresAt !== undefined && key.expiresAt <= now) {
      throw refused(`API key ${id}`, 'it has expired');
    }
    if (!isOneOf(secret, secrets, now)) {
      throw refused(`API key ${id}`, 'it was rotated, and this secret is no longer good');
    }
    if (now - (key.lastUsedAt ?? Number.NEGATIVE_INFINITY) >= notedEveryMs) {
      await noteUse(workspace, key.principal, id, now);
    }
    return { id: key.principal, roles: [], scopes: key.scopes, credential: `key:${id}` };
  }

  /** Never a reason to refuse. */
  async function noteUse(
    workspace: string,
    principal: string,
    id: string,
    at: number,
  ): Promise<void> {
    try {
      const set = { used: { at } };
      const changes = [{ op: 'merge', kind: 'api_key', id, set }] as const;
      await metadata.commit({ workspace, principal, changes });
    } catch (error) {
      const fields = { component: 'operations', key: id, error };
      logger.warn(fields, `The use of API key ${id} could not be noted.`);
    }
  }

  return async (credentials) => {
    checkOptions(shape, credentials, 'authenticate');
    const { bearer } = credentials;
    if (bearer.length > maxLength) throw refused('bearer', `it is longer than ${maxLength}`);
    if (looksLikeKey(bearer)) return byKey(bearer);
    if (verify !== undefined) return verify(bearer);
    throw refused('bearer', 'it is no API key, and this platform was opened without access.tokens');
  };
}
