import type { Reach } from '../contracts/metadata-store.ts';
import { type ReachRequest, recordColumn, recordTable } from '../sql/index.ts';
import type { SqliteDatabase } from './sqlite-database.ts';

/**
 * Walks the edges breadth first, one statement a level, inside one read transaction. Stops reading as
 * soon as the limit is full, however many edges a node has.
 */
export function readReach(db: SqliteDatabase, request: ReachRequest): Reach {
  const { limit } = request;
  const start = [...new Set(request.ids)].toSorted(byCodeUnits);
  const depths = new Map<string, number>();
  for (const id of start.slice(0, limit)) depths.set(id, 0);
  let truncated = start.length > limit;
  const edges: Reach['edges'][number][] = [];
  const follow = db.prepare(followSql(request));
  let frontier = [...depths.keys()];
  for (let depth = 1; depth <= request.depth && frontier.length > 0; depth += 1) {
    const next: string[] = [];
    const values = [request.workspace, JSON.stringify(frontier)];
    if (request.roles !== undefined) values.push(JSON.stringify(request.roles));
    for (const row of follow.iterate(...values)) {
      const edge = {
        from: String(row['from_id']),
        to: String(row['to_id']),
        role: String(row['role']),
      };
      const target = request.direction === 'forward' ? edge.to : edge.from;
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

/** The edges of some nodes, in their order. */
export function followSql({ direction, roles }: Pick<ReachRequest, 'direction' | 'roles'>): string {
  const [from, to, role] = ['from', 'to', 'role'].map(recordColumn);
  const [near, far] = direction === 'forward' ? [from, to] : [to, from];
  const ofRoles = roles === undefined ? '' : `AND e.${role} IN (SELECT value FROM json_each(?3))`;
  return `SELECT e.${from} AS from_id, e.${to} AS to_id, e.${role} AS role
    FROM json_each(?2) f CROSS JOIN ${recordTable('edge')} e
    WHERE e.ws = ?1 AND e.${near} = f.value ${ofRoles}
    ORDER BY e.${far}, e.${near}, e.${role}`;
}

function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
