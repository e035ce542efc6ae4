import { createCipheriv, createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import type { Json } from '../../json.ts';

/**
 * What is stored in place of a value: `hash`, a pseudonym by a secret key, the same for equal values; `tokenise`, a token that
 * whoever may manage the audit can turn back; `drop`, nothing; or the range that a number lies in.
 */
export type Treatment =
  | 'hash'
  | 'tokenise'
  | 'drop'
  /** Ascending: below the first, from one to before the next, from the last on. */
  | { readonly bucket: readonly number[] };

/** What is made of values before they are stored. */
export interface AnonymisingSettings {
  readonly features?: Readonly<Record<string, Treatment>>;
  /** `hash` when left out, of both. */
  readonly userId?: 'hash' | 'drop';
  readonly sessionId?: 'hash' | 'drop';
  /** The sticky key; `keep` when left out: it is what experiments count users by. */
  readonly key?: 'keep' | 'hash' | 'drop';
  /** The feature that has the id of the user, for rows that come without `userId`. */
  readonly userFeature?: string;
}

/** The secret keys of a workspace. */
export interface AnonymisingKeys {
  readonly pseudonymise: Uint8Array;
  /** Undefined where there is nothing to be tokenised. */
  readonly encrypt?: Uint8Array;
}

const rememberedPseudonyms = 10_000;

/** Makes pseudonyms and tokens, the same for equal values while the keys are the same. */
export class Anonymiser {
  readonly #keys: AnonymisingKeys;
  readonly #known = new Map<string, string>();

  constructor(keys: AnonymisingKeys) {
    this.#keys = keys;
  }

  /** The pseudonym of a user, session or sticky key: 22 characters of base64url (128 bits of HMAC-SHA-256). */
  identity(id: string): string {
    return this.#remembered(`i${id}`, () => this.#hash(`identity:${id}`));
  }

  /** The pseudonym of a feature's value; values of different types or features have different ones. */
  value(feature: string, value: Json): string {
    const text = typeText(value);
    return this.#remembered(`v${feature}\u0000${text}`, () =>
      this.#hash(`feature:${feature}\u0000${text}`),
    );
  }

  /**
   * A token of a value: AES-256-CTR under a synthetic initialisation vector (an HMAC of the value), so that equal values have
   * equal tokens and a forged token is refused.
   */
  token(value: Json): string {
    const { auth, cipher } = this.#tokenKeys();
    const plain = Buffer.from(typeText(value));
    const iv = createHmac('sha256', auth).update(plain).digest().subarray(0, 16);
    const body = createCipheriv('aes-256-ctr', cipher, iv);
    return Buffer.concat([iv, body.update(plain), body.final()]).toString('base64url');
  }

  /** The value of a token; undefined for what was not made with these keys. */
  valueOf(token: string): Json | undefined {
    if (this.#keys.encrypt === undefined) return undefined;
    const { auth, cipher } = this.#tokenKeys();
    const bytes = Buffer.from(token, 'base64url');
    const iv = bytes.subarray(0, 16);
    if (iv.length === 16) {
      const body = createDecipheriv('aes-256-ctr', cipher, iv);
      const plain = Buffer.concat([body.update(bytes.subarray(16)), body.final()]);
      const expected = createHmac('sha256', auth).update(plain).digest().subarray(0, 16);
      if (timingSafeEqual(iv, expected)) return JSON.parse(plain.toString()) as Json;
    }
    return undefined;
  }

  #tokenKeys(): { readonly auth: Buffer; readonly cipher: Buffer } {
    const { encrypt } = this.#keys;
    if (encrypt === undefined) {
      throw new KeelsonError(
        'NOT_FOUND',
        'There is no key to encrypt with, which tokens need; give the platform keys that have one.',
      );
    }
    const derived = (use: string): Buffer =>
      createHmac('sha256', encrypt).update(`keelson:token:${use}`).digest();
    return { auth: derived('auth'), cipher: derived('cipher') };
  }

  #hash(text: string): string {
    const digest = createHmac('sha256', this.#keys.pseudonymise).update(text).digest();
    return digest.subarray(0, 16).toString('base64url');
  }

  #remembered(name: string, make: () => string): string {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const made = make();
    if (name.length > 200) return made;
    if (this.#known.size >= rememberedPseudonyms) this.#known.clear();
    this.#known.set(name, made);
    return made;
  }
}

/** The range of ascending edges that a value lies in, as text; undefined for what is no number. */
function bucketOf(edges: readonly number[], value: unknown): string | undefined {
  if (typeof value !== 'number' || Number.isNaN(value)) return undefined;
  const above = edges.findIndex((edge) => value < edge);
  if (above === 0) return `<${edges[0]}`;
  return above < 0 ? `≥${edges.at(-1)}` : `${edges[above - 1]}–${edges[above]}`;
}

/** What {@link treatFeatures} makes of the features of a row. */
export interface TreatedFeatures {
  readonly stored: Readonly<Record<string, unknown>>;
  /** What is counted in windows: numbers that are bucketed in the log are counted as they are. */
  readonly counted: Readonly<Record<string, unknown>>;
}

/** Features as they are stored and counted. What is not to be treated is handed back as it is. */
export function treatFeatures(
  features: Readonly<Record<string, unknown>>,
  treatments: ReadonlyMap<string, Treatment>,
  anonymiser: Anonymiser,
): TreatedFeatures {
  if (treatments.size === 0) return { stored: features, counted: features };
  const stored = new Map(Object.entries(features));
  const counted = new Map(stored);
  for (const [name, treatment] of treatments) {
    const value = stored.get(name);
    if (value === undefined || value === null) continue;
    if (typeof treatment === 'object') {
      stored.set(name, bucketOf(treatment.bucket, value) ?? null);
      if (typeof value !== 'number') counted.set(name, null);
      continue;
    }
    const made = treatment === 'drop' ? undefined : treated(treatment, name, value, anonymiser);
    if (made === undefined) {
      stored.delete(name);
      counted.delete(name);
    } else {
      stored.set(name, made);
      counted.set(name, made);
    }
  }
  return { stored: Object.fromEntries(stored), counted: Object.fromEntries(counted) };
}

/** Undefined for what has no text: it is dropped rather than stored as it is. */
function treated(
  treatment: 'hash' | 'tokenise',
  name: string,
  value: unknown,
  anonymiser: Anonymiser,
): string | undefined {
  try {
    return treatment === 'hash'
      ? anonymiser.value(name, value as Json)
      : anonymiser.token(value as Json);
  } catch (error) {
    // What JSON cannot hold, a cycle, a getter that throws.
    if (!isKeelsonError(error)) return undefined;
    throw error;
  }
}

/** Typed: the number 1 and the text 1 differ. TypeError for what JSON cannot hold. */
function typeText(value: Json): string {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError('A value without a text.');
  return text;
}
