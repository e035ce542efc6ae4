import { createHash } from 'node:crypto';
import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import type { Owners } from '../events/subscription.ts';
import { assertText, type JsonObject } from '../json.ts';

/** Work that is done once for a key, whoever asks again. */
export interface OnceOptions {
  /** Chosen by the caller, 1 to 255 characters; each principal has keys of its own. */
  readonly key: string;
  /** What is asked; the same key for something else is refused. */
  readonly fingerprint: string;
  /** An answer that is no object is not kept: then the work may be asked for again. What it throws is thrown on. */
  work(): Promise<JsonObject | undefined>;
}

/** Remembers answers, so that a request which is sent again is not done again. */
export interface Once {
  /**
   * Does the work, or answers what it has answered before, for 24 hours. CONFLICT while it is under way elsewhere;
   * INVALID for a key that was used for something else. Where a process dies within the work, whoever asks next does it
   * again.
   */
  once(options: OnceOptions): Promise<JsonObject | undefined>;
}

const shape = z.strictObject({
  key: z.string(),
  fingerprint: z.string().min(1).max(255),
  work: z.custom<OnceOptions['work']>((value) => typeof value === 'function', 'must be a function'),
} satisfies Record<keyof OnceOptions, z.ZodType>);
const kind = 'remembered_answer';
const keptMs = 24 * 3_600_000;
/** Work that has taken so long counts as given up. */
const workMs = 600_000;
const removedAtOnce = 50;
const attempts = 10;

/** Bound to a scope. */
export function createOnce(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'clock'>,
  owners: Owners,
): Once {
  const { metadata, workspace, principal, clock } = scope;
  const commit = (changes: readonly Change[]): Promise<unknown> =>
    metadata.commit({ workspace, principal: principal.id, changes });

  /** Undefined where it is ours to do, under the revision answered; else what was answered before. */
  async function begin(
    id: string,
    fingerprint: string,
  ): Promise<{ readonly revision: number } | { readonly answer: JsonObject | undefined }> {
    for (let attempt = 1; ; attempt += 1) {
      const now = clock.now();
      const columns = {
        fingerprint,
        state: 'RUNNING',
        owner: owners.self,
        expiresAt: now + workMs,
      };
      const found = await metadata.find(workspace, kind, id);
      try {
        if (found === undefined) {
          await commit([{ op: 'create', kind, id, columns, body: {} }, ...(await expired(now))]);
          return { revision: 1 };
        }
        const kept = keptAnswer(found, fingerprint, now);
        if (kept !== undefined) return kept;
        await commit([{ op: 'replace', kind, id, expect: found.revision, columns, body: {} }]);
        return { revision: found.revision + 1 };
      } catch (error) {
        const raced =
          isKeelsonError(error, 'CONFLICT', 'STALE') && error.details['underWay'] !== true;
        if (!raced || attempt === attempts) throw error;
      }
    }
  }

  function keptAnswer(
    { columns, body }: StoredRecord,
    fingerprint: string,
    now: number,
  ): { readonly answer: JsonObject | undefined } | undefined {
    if ((columns['expiresAt'] as number) <= now) return undefined;
    if (columns['fingerprint'] !== fingerprint) {
      throw new KeelsonError(
        'INVALID',
        'This idempotency key was used for another request; take a new one for each thing that is meant.',
      );
    }
    if (columns['state'] === 'DONE') return { answer: body['answer'] as JsonObject };
    if (owners.dead([columns['owner'] as string]).length > 0) return undefined;
    throw new KeelsonError(
      'CONFLICT',
      'The first request of this idempotency key is under way; ask again in a moment.',
      { details: { underWay: true } },
    );
  }

  async function expired(now: number): Promise<readonly Change[]> {
    const { records } = await metadata.query(workspace, kind, {
      where: { op: 'compare', left: { from: 'column', name: 'expiresAt' }, cmp: '<', value: now },
      limit: removedAtOnce,
    });
    return records.map(({ id, revision }) => ({ op: 'remove', kind, id, expect: revision }));
  }

  return {
    async once(options) {
      const { key, fingerprint, work } = checkOptions(shape, options, 'once');
      if (assertText(key, 'An idempotency key', 255) === '')
        throw new KeelsonError('INVALID', 'An idempotency key is empty.');
      const id = `answer:${createHash('sha256')
        .update(JSON.stringify([principal.id, key]))
        .digest('hex')}`;
      const begun = await begin(id, fingerprint);
      if ('answer' in begun) return begun.answer;
      const forget = (): Promise<unknown> =>
        commit([{ op: 'remove', kind, id, expect: begun.revision }]);
      let answer: JsonObject | undefined;
      try {
        answer = await work();
      } catch (error) {
        await forget().catch(lostToAnother);
        throw error;
      }
      if (answer === undefined) await forget().catch(lostToAnother);
      else {
        const columns = { state: 'DONE', expiresAt: clock.now() + keptMs };
        await commit([
          { op: 'replace', kind, id, expect: begun.revision, columns, body: { answer } },
        ]).catch(lostToAnother);
      }
      return answer;
    },
  };
}

/** It took so long that another has begun it: what was done here is the answer here. */
function lostToAnother(error: unknown): void {
  if (!isKeelsonError(error, 'STALE', 'NOT_FOUND')) throw error;
}
