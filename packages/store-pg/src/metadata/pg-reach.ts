import type { Reach } from '@keelson/core';
import { type ReachRequest, recordColumn, recordTable } from '@keelson/core/sql';
import type { PgTransaction } from '../connection/pg-server.ts';
import type { PgRow } from '../connection/pg-session.ts';
import { beginningOf, indexedBeginning } from './pg-dialect.ts';

type Edge = Reach['edges'][number];

/** So many edges are read at a time: a node may have a million. */
const edgesAtOnce = 5_000;

/**
 * Walks the edges breadth first, inside one snapshot. Stops reading as soon as the limit is full, however
 * many edges a node has.
 */
export async function readReach(transaction: PgTransaction, request: ReachRequest): Promise<Reach> {
  const { limit, direction } = request;
  const start = [...new Set(request.ids)].toSorted(byCodeUnits);
  const depths = new Map<string, number>();
  for (const id of start.slice(0, limit)) depths.set(id, 0);
  let truncated = start.length > limit;
  const edges: Edge[] = [];
  let frontier = [...depths.keys()];
  for (let depth = 1; depth <= request.depth && frontier.length > 0; depth += 1) {
    const next: string[] = [];
    for await (const edge of edgesOf(transaction, request, frontier)) {
      const target = direction === 'forward' ? edge.to : edge.from;
      if (!depths.has(target)) {
        if (depths.size >= limit) {
          truncated = true;
          break;
        }
        depths.set(target, depth);
        next.push(target);
      }
      edges.push(edge);
    }
    if (truncated) break;
    frontier = next;
  }
  return { nodes: [...depths].map(([id, depth]) => ({ id, depth })), edges, truncated };
}

async function* edgesOf(
  transaction: PgTransaction,
  request: ReachRequest,
  frontier: readonly string[],
): AsyncGenerator<Edge> {
  const { direction, roles, workspace } = request;
  const [from, to, role] = (['from', 'to', 'role'] as const).map(
    (name) => `e.${recordColumn(name)}`,
  ) as [string, string, string];
  const [near, far] = direction === 'forward' ? [from, to] : [to, from];
  const order = `${far}, ${near}, ${role}`;
  const text = (after: boolean): string => `SELECT ${from} AS "from", ${to} AS "to", ${role} AS role
    FROM ${recordTable('edge')} e
    WHERE e.ws = $1 AND ${indexedBeginning(near)} = ANY ($4::text[])
      AND ${near} = ANY ($2::text[]) AND ($3::text[] IS NULL OR ${role} = ANY ($3::text[]))
    ${after ? `AND (${order}) > ($5, $6, $7)` : ''} ORDER BY ${order} LIMIT ${edgesAtOnce}`;
  const beginnings = frontier.map(beginningOf);
  let after: readonly string[] = [];
  for (;;) {
    const values = [workspace, frontier, roles ?? null, beginnings, ...after];
    const rows = await transaction.query(text(after.length > 0), values);
    const page = rows.map(readEdge);
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < edgesAtOnce) return;
    after =
      direction === 'forward' ? [last.to, last.from, last.role] : [last.from, last.to, last.role];
  }
}

function readEdge(row: PgRow): Edge {
  return { from: String(row['from']), to: String(row['to']), role: String(row['role']) };
}

function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
