import { randomBytes } from 'node:crypto';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { everyRecord } from '../../operations/every-record.ts';
import { Anonymiser } from './anonymising.ts';

const kind = 'pseudonym_key';
/** The id of the key that is kept here, and what the ids of keys of a provider begin with. */
const own = 'own';
const provided = 'key:';
/** How long a key that was rotated away from may still be used. */
const lookEveryMs = 10_000;

type KeyScope = Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'keys' | 'clock'>;

/**
 * What pseudonyms of a workspace are made with: the current keys of the platform's `KeyProvider`, or, where it has none, a key
 * that is made once and kept beside the records. Which keys were ever used is kept as records, before they are: whoever erases
 * a user looks for the pseudonyms under all of them.
 */
export class PseudonymKeys {
  readonly #scope: KeyScope;
  #current: { readonly id: string; readonly anonymiser: Anonymiser } | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(scope: KeyScope) {
    this.#scope = scope;
  }

  /** Of the current keys. NOT_FOUND where the provider has none. */
  async current(): Promise<Anonymiser> {
    const known = this.#current;
    if (known !== undefined && performance.now() - this.#lookedAt < lookEveryMs) {
      return known.anonymiser;
    }
    const made = await this.#find();
    this.#lookedAt = performance.now();
    // One that stays keeps what it remembers.
    if (this.#current?.id !== made.id) this.#current = made;
    return this.#current.anonymiser;
  }

  /** Of every key that was used so far, the current one among them. NOT_FOUND, by its id, for one that is gone. */
  async all(): Promise<readonly Anonymiser[]> {
    await this.current();
    const records = await Array.fromAsync(everyRecord(this.#scope, kind));
    return Promise.all(
      records.map((record) =>
        record.id === own ? ownOf(record) : this.#provided(record.id.slice(provided.length)),
      ),
    );
  }

  async #find(): Promise<{ readonly id: string; readonly anonymiser: Anonymiser }> {
    const id = await this.#currentId();
    if (id === undefined) return { id: own, anonymiser: await this.#own() };
    if (this.#current?.id !== id) await this.#note(`${provided}${id}`, {});
    return { id, anonymiser: await this.#provided(id) };
  }

  /** Undefined where nobody provides keys for pseudonyms: a provider may be there to sign alone. */
  async #currentId(): Promise<string | undefined> {
    try {
      return (await this.#scope.keys?.key('pseudonymise'))?.id;
    } catch (error) {
      if (isKeelsonError(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  async #provided(id: string): Promise<Anonymiser> {
    const { keys } = this.#scope;
    if (keys === undefined) {
      throw new KeelsonError(
        'NOT_FOUND',
        `Pseudonyms were made with the key ${id} of a KeyProvider; open the platform with keys that have it.`,
      );
    }
    const { bytes } = await keys.key('pseudonymise', id);
    const encrypt = await encryptKey(keys, id);
    return new Anonymiser({ pseudonymise: bytes, ...(encrypt === undefined ? {} : { encrypt }) });
  }

  async #own(): Promise<Anonymiser> {
    const { metadata, workspace } = this.#scope;
    const make = (): string => randomBytes(32).toString('base64');
    let record = await metadata.find(workspace, kind, own);
    if (record === undefined) {
      await this.#note(own, { pseudonymise: make(), encrypt: make() });
      record = await metadata.find(workspace, kind, own);
    }
    if (record === undefined) throw new TypeError('A record that was made is not there.');
    return ownOf(record);
  }

  async #note(id: string, body: Readonly<Record<string, string>>): Promise<void> {
    const { metadata, workspace } = this.#scope;
    if ((await metadata.find(workspace, kind, id)) !== undefined) return;
    try {
      await commitChanges(this.#scope, [
        { op: 'create', kind, id, columns: { madeAt: this.#scope.clock.now() }, body },
      ]);
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
  }
}

function ownOf({ body }: { readonly body: Readonly<Record<string, unknown>> }): Anonymiser {
  const bytes = (name: string): Uint8Array => Buffer.from(String(body[name]), 'base64');
  return new Anonymiser({ pseudonymise: bytes('pseudonymise'), encrypt: bytes('encrypt') });
}

/** Rings of different purposes may have different ids: the current one serves where that id is none of its. */
async function encryptKey(
  keys: NonNullable<Scope['keys']>,
  id: string,
): Promise<Uint8Array | undefined> {
  for (const ask of [() => keys.key('encrypt', id), () => keys.key('encrypt')]) {
    try {
      return (await ask()).bytes;
    } catch (error) {
      if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
    }
  }
  return undefined;
}
