import { createHash } from 'node:crypto';
import type { JsonObject, Services } from '@keelson/core';
import { headerOf, type ServerAnswer, type ServerRequest } from '../http/exchange.ts';
import { refusal } from './problem.ts';
import type { AnyRoute } from './route.ts';

/** A longer answer is given, and not kept. */
const maxKeptLength = 256 * 1024;

/**
 * The answer to a call; what a request with the same `Idempotency-Key` was answered before, without doing it again, where
 * it is one that changes something. Refusals are not kept: what failed may be tried again under its key.
 */
export async function answerOnce(
  row: AnyRoute,
  { method, url, headers }: ServerRequest,
  of: {
    readonly services: Services;
    readonly input: object;
    answer(): Promise<ServerAnswer>;
  },
): Promise<ServerAnswer> {
  const key = headerOf(headers, 'idempotency-key');
  if (key === undefined || row.method === 'GET') return of.answer();
  if (row.isSecret === true) {
    const message =
      'Idempotency-Key is not taken here: the answer holds a secret, which is kept nowhere.';
    throw refusal(400, 'INVALID', message);
  }
  if (row.upload !== undefined && !('body' in of.input)) {
    const message =
      'Idempotency-Key is not taken with an upload: its bytes cannot be told from others before they are read.';
    throw refusal(400, 'INVALID', message);
  }
  const asked = JSON.stringify([method, url, of.input]);
  const fingerprint = createHash('sha256').update(asked).digest('hex');
  let fresh: ServerAnswer | undefined;
  const kept = await of.services.operations.once({
    key,
    fingerprint,
    async work() {
      fresh = await of.answer();
      return keptForm(fresh);
    },
  });
  if (fresh !== undefined) return fresh;
  const { status, headers: said, body } = kept as unknown as KeptAnswer;
  return { status, headers: { ...said, 'idempotency-replayed': 'true' }, body };
}

interface KeptAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

function keptForm({ status, headers, body }: ServerAnswer): JsonObject | undefined {
  if (typeof body !== 'string' || body.length > maxKeptLength) return undefined;
  return { status, headers, body };
}
