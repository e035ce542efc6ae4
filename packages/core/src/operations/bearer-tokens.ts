import type { JSONWebKeySet, JWTPayload, RemoteJWKSet } from 'jose';
import { z } from 'zod';
import type { Clock, Logger, Principal } from '../contracts/ports.ts';
import { KeelsonError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { refused } from './refused-credential.ts';

/** Whose tokens are accepted, and who they say somebody is. */
export interface TokenOptions {
  /** Exactly the `iss` of the tokens. */
  readonly issuer: string;
  /** One of the `aud` of the tokens. */
  readonly audience: string | readonly string[];
  /** Where the issuer's keys are (`https:`, or `http:` on this machine), or the keys themselves. */
  readonly jwks: string | { readonly keys: readonly JsonObject[] };
  /** Asymmetric ones; all that `jose` has of RS, PS, ES and EdDSA when left out. */
  readonly algorithms?: readonly string[];
  /** How far the issuer's clock may differ; 5,000 when left out. */
  readonly clockToleranceMs?: number;
  /** Keys are fetched again for an unknown `kid`, at most once in this time; 30,000 when left out. */
  readonly cooldownMs?: number;
  /** Keys older than this are fetched again; 600,000 when left out. */
  readonly maxAgeMs?: number;
  /** The principal's id; `user:` and the `sub` when left out. */
  readonly principal?: (claims: JsonObject) => string;
  /** Roles that come with the token, as {@link Principal.roles}; none when left out. */
  readonly roles?: (claims: JsonObject) => readonly string[];
}

const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
] as const;

/** The shape of {@link TokenOptions}. */
export const tokenOptions: z.ZodType = z.strictObject({
  issuer: z.string().min(1),
  audience: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  jwks: z.union([
    z.string().refine(isSafeAddress, 'must be an https: address (http: only on this machine)'),
    z.object({ keys: z.array(z.record(z.string(), z.unknown())) }),
  ]),
  algorithms: z.array(z.enum(algorithms)).min(1).optional(),
  clockToleranceMs: z.number().min(0).max(300_000).optional(),
  cooldownMs: z.number().min(0).optional(),
  maxAgeMs: z.number().min(1).optional(),
  principal: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
  roles: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof TokenOptions, z.ZodType>);

const claimed = z.object({
  id: z
    .string()
    .min(1)
    .max(255)
    .refine((text) => text.isWellFormed() && !text.includes('\u0000')),
  roles: z.array(z.string().min(1).max(255)).max(100),
});

type Jose = typeof import('jose');

/** Verifies tokens; FORBIDDEN, saying why, for those that are not good; UNAVAILABLE without any keys. */
export function createTokenVerifier(
  options: TokenOptions,
  parts: { readonly clock: Clock; readonly logger: Logger },
): (token: string) => Promise<Principal> {
  let loaded: Promise<{ readonly jose: Jose; readonly keys: IssuerKeys | LocalKeys }> | undefined;

  // Most platforms see no token: the library is loaded with the first.
  async function load() {
    const jose = await import('jose');
    const { jwks } = options;
    const keys =
      typeof jwks === 'string'
        ? new IssuerKeys(jose, new URL(jwks), options, parts)
        : { find: jose.createLocalJWKSet(jwks as unknown as JSONWebKeySet) };
    return { jose, keys };
  }

  function principalOf(claims: JWTPayload): Principal {
    const facts = claims as unknown as JsonObject;
    const who = {
      id: options.principal === undefined ? `user:${claims.sub}` : options.principal(facts),
      roles: options.roles === undefined ? [] : options.roles(facts),
    };
    const checked = claimed.safeParse(who);
    if (checked.success) return checked.data;
    throw refused('token', 'its claims name no principal that can be used');
  }

  return async (token) => {
    loaded ??= load();
    const { jose, keys } = await loaded;
    try {
      const { payload } = await jose.jwtVerify(token, (header) => keys.find(header), {
        issuer: options.issuer,
        audience: typeof options.audience === 'string' ? options.audience : [...options.audience],
        algorithms: [...(options.algorithms ?? algorithms)],
        clockTolerance: (options.clockToleranceMs ?? 5000) / 1000,
        currentDate: new Date(parts.clock.now()),
        requiredClaims: ['exp', 'sub'],
      });
      return principalOf(payload);
    } catch (error) {
      if (!(error instanceof jose.errors.JOSEError)) throw error;
      throw refused('token', reasonOf(error.code, error.message), error);
    }
  };
}

interface LocalKeys {
  find: ReturnType<Jose['createLocalJWKSet']>;
}

/** The keys of an issuer: fetched when needed, kept when the issuer is away. */
class IssuerKeys {
  readonly #jose: Jose;
  readonly #set: RemoteJWKSet;
  readonly #logger: Logger;
  readonly #cooldownMs: number;
  readonly #maxAgeMs: number;
  #triedAt = Number.NEGATIVE_INFINITY;
  #fetchedAt = Number.NEGATIVE_INFINITY;

  constructor(
    jose: Jose,
    url: URL,
    options: Pick<TokenOptions, 'cooldownMs' | 'maxAgeMs'>,
    parts: { readonly logger: Logger },
  ) {
    this.#jose = jose;
    this.#logger = parts.logger;
    this.#cooldownMs = options.cooldownMs ?? 30_000;
    this.#maxAgeMs = options.maxAgeMs ?? 600_000;
    // When to fetch is decided here: the library would give up old keys when the issuer is away, and would
    // fetch for every unknown key while it is.
    const never = Number.POSITIVE_INFINITY;
    this.#set = jose.createRemoteJWKSet(url, { cooldownDuration: never, cacheMaxAge: never });
  }

  async find(header: Parameters<RemoteJWKSet>[0]): ReturnType<RemoteJWKSet> {
    if (this.#set.jwks() === undefined) await this.#fetchFirst();
    else if (this.#age() > this.#maxAgeMs) void this.#refresh();
    try {
      return await this.#set(header);
    } catch (error) {
      const unknown = error instanceof this.#jose.errors.JWKSNoMatchingKey;
      if (!unknown || !(await this.#refresh())) throw error;
      return this.#set(header);
    }
  }

  #age(): number {
    return performance.now() - this.#fetchedAt;
  }

  async #fetchFirst(): Promise<void> {
    try {
      await this.#set.reload();
      this.#triedAt = performance.now();
      this.#fetchedAt = this.#triedAt;
    } catch (error) {
      throw new KeelsonError(
        'UNAVAILABLE',
        'The keys of the token issuer cannot be fetched, so no token can be verified; see access.tokens.jwks.',
        { cause: error },
      );
    }
  }

  /** Whether newer keys came; false in the cooldown, and when the issuer is away. */
  async #refresh(): Promise<boolean> {
    if (performance.now() - this.#triedAt < this.#cooldownMs) return false;
    this.#triedAt = performance.now();
    try {
      await this.#set.reload();
      this.#fetchedAt = performance.now();
      return true;
    } catch (error) {
      const fields = { component: 'operations', error };
      this.#logger.warn(
        fields,
        'The keys of the token issuer cannot be fetched; the known ones go on.',
      );
      return false;
    }
  }
}

function isSafeAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  return protocol === 'https:' || (protocol === 'http:' && local);
}

function reasonOf(code: string, message: string): string {
  switch (code) {
    case 'ERR_JWT_EXPIRED':
      return 'it has expired';
    case 'ERR_JWKS_NO_MATCHING_KEY':
      return 'the issuer has no key of that name';
    case 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED':
      return 'its signature is wrong';
    case 'ERR_JOSE_ALG_NOT_ALLOWED':
      return 'its algorithm is not allowed';
    case 'ERR_JWT_CLAIM_VALIDATION_FAILED':
      return message;
    default:
      return 'it is no token that can be verified';
  }
}
