import { setTimeout as wait } from 'node:timers/promises';
import { type Claimed, type ClaimKey, isKeelsonError } from '@keelson/core';
import type { CheckedClaim } from '@keelson/core/sql';
import type { PgDatabase } from '../connection/pg-database.ts';
import { isTakenKey } from '../connection/pg-error.ts';
import type { PgRow } from '../connection/pg-session.ts';
import { type ClaimContext, findUnclaimed } from './claim-search.ts';
import { takeClaims, takenBySet } from './claim-taking.ts';

/** So often what others were about to take is looked at again before less than `limit` is answered. */
const maxRounds = 8;

/**
 * Looks for what may be claimed, then takes it: records that another transaction has locked are passed
 * over, and what was found is looked at again once it is locked. Most calls find nothing due, and write
 * nothing.
 */
export async function claimRecords(
  database: PgDatabase,
  context: ClaimContext,
  search: CheckedClaim,
): Promise<readonly Claimed[]> {
  const taken: Claimed[] = [];
  for (let round = 0; round < maxRounds; round += 1) {
    const wanted = search.limit - taken.length;
    const { got, more } = await claimOnce(database, context, { ...search, limit: wanted });
    taken.push(...got);
    if (taken.length >= search.limit || !more) break;
    if (got.length === 0) await wait(Math.random() * 2 * (round + 1));
  }
  return taken;
}

/** One look and what could be taken of it; `more` when there was more than that. */
async function claimOnce(
  database: PgDatabase,
  context: ClaimContext,
  search: CheckedClaim,
): Promise<{ readonly got: readonly Claimed[]; readonly more: boolean }> {
  // Others look for the same at the same time: some more, for what they take.
  const limit = search.limit + Math.min(100, search.limit + 10);
  const tried: PgRow[] = [];
  try {
    return await database.transaction(async (transaction) => {
      tried.length = 0;
      const due = await findUnclaimed(transaction, context, { ...search, limit });
      if (due.length === 0) return { got: [], more: false };
      const got = await takeClaims(transaction, context, search, due, tried);
      return { got, more: got.length < due.length || due.length === limit };
    });
  } catch (error) {
    const cause = isKeelsonError(error) ? error.cause : error;
    if (!isTakenKey(cause)) throw error;
    throw await takenBySet(database, context, search.set, tried, cause);
  }
}

/** Extends the claims that are still held; answers which those were. */
export async function renewClaims(
  database: PgDatabase,
  claims: readonly ClaimKey[],
  leaseMs: number,
): Promise<readonly ClaimKey[]> {
  const rows = await database.write(
    `UPDATE ${database.name('claim')} c SET expires_at = ${database.name('now_ms()')} + $6::bigint
     FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])
       AS k (fence, kind, ws, id, owner)
     WHERE ${sameClaim} AND c.expires_at > ${database.name('now_ms()')}
     RETURNING c.fence, c.kind, c.ws, c.id, c.owner`,
    [...claimColumns(claims), leaseMs],
  );
  const key = (...parts: readonly unknown[]): string => JSON.stringify(parts);
  const held = new Set(
    rows.map((row) => key(row['fence'], row['kind'], row['ws'], row['id'], row['owner'])),
  );
  return claims.filter(({ fence, kind, workspace, id, owner }) =>
    held.has(key(fence, kind, workspace, id, owner)),
  );
}

/** Ends the claims; a fence that is no longer in force ends nothing. */
export async function releaseClaims(
  database: PgDatabase,
  claims: readonly ClaimKey[],
): Promise<void> {
  await database.write(
    `DELETE FROM ${database.name('claim')} c
     USING unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])
       AS k (fence, kind, ws, id, owner)
     WHERE ${sameClaim}`,
    claimColumns(claims),
  );
}

const sameClaim =
  'c.fence = k.fence AND c.kind = k.kind AND c.ws = k.ws AND c.id = k.id AND c.owner = k.owner';

function claimColumns(claims: readonly ClaimKey[]): unknown[] {
  return [
    claims.map(({ fence }) => fence),
    claims.map(({ kind }) => kind),
    claims.map(({ workspace }) => workspace),
    claims.map(({ id }) => id),
    claims.map(({ owner }) => owner),
  ];
}

/** The owners of unexpired claims. */
export async function readClaimOwners(
  database: PgDatabase,
  kind: string,
  workspace: string | undefined,
): Promise<readonly string[]> {
  const rows = await database.read(
    `SELECT DISTINCT owner FROM ${database.name('claim')}
     WHERE kind = $1 AND expires_at > ${database.name('now_ms()')} AND ($2::text IS NULL OR ws = $2)
     ORDER BY owner`,
    [kind, workspace ?? null],
  );
  return rows.map((row) => String(row['owner']));
}
