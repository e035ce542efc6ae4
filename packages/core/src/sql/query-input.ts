import type { EventFilter } from '../contracts/event.ts';
import type { ClaimRequest } from '../contracts/metadata-store.ts';
import type { Order, Predicate, Query, Selector } from '../contracts/query.ts';
import type { KindDeclaration } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { checkOrder, checkPredicate } from '../language/check-predicate.ts';
import type { ColumnInput } from './column-value.ts';
import { assertClaimable } from './commit-input.ts';
import { assertName, namedColumns } from './record-input.ts';

/** A query with what it leaves out put in. */
export interface CheckedQuery {
  readonly where: Predicate | undefined;
  readonly orderBy: readonly Order[];
  readonly limit: number;
  readonly facets: readonly string[];
  readonly body: boolean;
}

/** Refuses, as INVALID and by name, what `findMany` cannot take; answers the facets asked for. */
export function checkFind(
  kind: KindDeclaration,
  workspace: string,
  ids: readonly string[],
  facets: readonly string[] | undefined,
): readonly string[] {
  assertName(workspace, 'The workspace');
  assertCount(ids.length, 0, 1_000, 'The number of ids');
  for (const id of ids) assertText(id, 'An id');
  return checkFacets(kind, facets);
}

/** Refuses, as INVALID and by name, what `query` cannot take. Cursors are read by `readCursor`. */
export function checkQuery(kind: KindDeclaration, workspace: string, query: Query): CheckedQuery {
  assertName(workspace, 'The workspace');
  const { where, orderBy = [], limit = 50, body = true } = query;
  assertCount(limit, 1, 1_000, 'The limit');
  const facets = checkFacets(kind, query.facets);
  checkSearch(kind, where, orderBy);
  return { where, orderBy, limit, facets, body };
}

/** Refuses, as INVALID and by name, what `count` cannot take. */
export function checkCount(
  kind: KindDeclaration,
  workspace: string,
  where: Predicate | undefined,
): void {
  assertName(workspace, 'The workspace');
  checkSearch(kind, where, []);
}

/** Refuses, as INVALID and by name, what `history` cannot take. */
export function checkHistory(
  workspace: string,
  id: string,
  options: { readonly after?: number; readonly limit?: number },
): { readonly after: number; readonly limit: number } {
  assertName(workspace, 'The workspace');
  assertText(id, 'An id');
  const { after = 0, limit = 1_000 } = options;
  assertCount(after, 0, Number.MAX_SAFE_INTEGER, 'The revision to go on after');
  assertCount(limit, 1, Number.MAX_SAFE_INTEGER, 'The limit');
  return { after, limit };
}

/** Which edges to follow. */
export interface ReachRequest {
  readonly workspace: string;
  readonly ids: readonly string[];
  readonly direction: 'forward' | 'backward';
  readonly depth: number;
  readonly limit: number;
  readonly roles: readonly string[] | undefined;
}

/** Refuses, as INVALID and by name, what `reach` cannot take. */
export function checkReach(
  workspace: string,
  ids: readonly string[],
  options: Omit<ReachRequest, 'workspace' | 'ids' | 'roles'> & {
    readonly roles?: readonly string[];
  },
): ReachRequest {
  assertName(workspace, 'The workspace');
  for (const id of ids) assertText(id, 'An id');
  for (const role of options.roles ?? []) assertText(role, 'A role');
  assertCount(options.depth, 0, Number.MAX_SAFE_INTEGER, 'The depth');
  assertCount(options.limit, 1, Number.MAX_SAFE_INTEGER, 'The limit');
  const { direction, depth, limit, roles } = options;
  if (direction !== 'forward' && direction !== 'backward') {
    throw invalid(`A direction is forward or backward, not ${String(direction)}.`);
  }
  return { workspace, ids, direction, depth, limit, roles };
}

/** A claim's request with what it leaves out put in. */
export interface CheckedClaim {
  readonly workspace: string | undefined;
  readonly where: Predicate | undefined;
  readonly orderBy: readonly Order[];
  readonly limit: number;
  readonly owner: string;
  readonly leaseMs: number;
  readonly takeFrom: readonly string[];
  readonly set: readonly ColumnInput[];
}

/** Refuses, as INVALID and by name, what `claim` cannot take. */
export function checkClaim(kind: KindDeclaration, request: ClaimRequest): CheckedClaim {
  assertClaimable(kind);
  const { workspace, where, orderBy = [], limit, owner, leaseMs, takeFrom = [] } = request;
  assertCount(limit, 1, 100, 'The limit');
  assertCount(leaseMs, 1, Number.MAX_SAFE_INTEGER, 'The lease');
  assertName(owner, 'The owner of a claim');
  checkSearch(kind, where, orderBy);
  const set = namedColumns(kind, request.set ?? {}, `A claimed ${kind.name}`);
  return { workspace, where, orderBy, limit, owner, leaseMs, takeFrom, set };
}

/** Refuses, as INVALID and by its label, what is no whole number from `low` to `high`. */
export function assertCount(value: number, low: number, high: number, label: string): void {
  if (!Number.isSafeInteger(value) || value < low || value > high) {
    const range = high === Number.MAX_SAFE_INTEGER ? `at least ${low}` : `${low} to ${high}`;
    throw invalid(`${label} must be a whole number, ${range}, not ${String(value)}.`);
  }
}

/** INVALID for a part of the events that is none. */
export function assertPartition(partition: EventFilter['partition']): void {
  if (partition === undefined) return;
  assertCount(partition.of, 1, 1_024, 'The number of partitions');
  assertCount(partition.index, 0, partition.of - 1, 'The index of a partition');
}

/** ABORTED when the signal of a search has been aborted. */
export function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new KeelsonError('ABORTED', 'The search was aborted.', { cause: signal.reason });
  }
}

/** A facet's key, as a query names it. */
export interface FacetKey {
  readonly facet: string;
  readonly key: string;
}

/** The facet keys that a query looks at, each once. */
export function facetKeys(
  where: Predicate | undefined,
  orderBy: readonly Order[],
): readonly FacetKey[] {
  const keys = new Map<string, FacetKey>();
  const add = (selector: Selector): void => {
    if (selector.from !== 'facet') return;
    const { facet, key } = selector;
    keys.set(JSON.stringify([facet, key]), { facet, key });
  };
  const walk = (predicate: Predicate): void => {
    switch (predicate.op) {
      case 'and':
      case 'or':
        for (const part of predicate.of) walk(part);
        break;
      case 'not':
        walk(predicate.of);
        break;
      default:
        add(predicate.left);
    }
  };
  if (where !== undefined) walk(where);
  for (const { by } of orderBy) add(by);
  return [...keys.values()];
}

/** Whether a query looks at a projected facet: then series must be folded before it runs. */
export function readsProjected(
  kind: KindDeclaration,
  query: {
    readonly where?: Predicate | undefined;
    readonly orderBy?: readonly Order[] | undefined;
    readonly facets?: readonly string[] | undefined;
  },
): boolean {
  const projected = (facet: string): boolean => kind.facets?.[facet]?.source === 'projected';
  return (
    (query.facets ?? []).some(projected) ||
    facetKeys(query.where, query.orderBy ?? []).some(({ facet }) => projected(facet))
  );
}

function checkSearch(
  kind: KindDeclaration,
  where: Predicate | undefined,
  orderBy: readonly Order[],
): void {
  if (where !== undefined) checkPredicate(kind, where);
  checkOrder(kind, orderBy);
}

function checkFacets(
  kind: KindDeclaration,
  facets: readonly string[] | undefined,
): readonly string[] {
  for (const facet of facets ?? []) {
    if (!Object.hasOwn(kind.facets ?? {}, facet)) {
      throw invalid(`The kind ${kind.name} has no facet ${facet}.`);
    }
  }
  return facets ?? [];
}

function invalid(message: string): KeelsonError {
  return new KeelsonError('INVALID', message);
}
