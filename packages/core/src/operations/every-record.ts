import type { Order, Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';

/** All records of a kind that match, page after page; what is created meanwhile may be among them. */
export async function* everyRecord(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  kind: string,
  query: {
    readonly where?: Predicate;
    readonly orderBy?: readonly Order[];
    readonly facets?: readonly string[];
    readonly body?: boolean;
    readonly limit?: number;
    readonly signal?: AbortSignal;
  } = {},
): AsyncGenerator<StoredRecord, void, undefined> {
  const { signal, limit = 500, ...rest } = query;
  let cursor: string | undefined;
  do {
    signal?.throwIfAborted();
    const page = await scope.metadata.query(scope.workspace, kind, {
      ...rest,
      limit,
      ...(cursor === undefined ? {} : { cursor }),
    });
    yield* page.records;
    cursor = page.cursor;
  } while (cursor !== undefined);
}

/** A predicate: the column has the value. */
export function columnIs(name: string, value: string | number | boolean): Predicate {
  return { op: 'compare', left: { from: 'column', name }, cmp: '=', value };
}

/** Those of the digests that records of a kind name in their column `sha256`. */
export async function referredBy(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  kind: string,
  digests: readonly string[],
): Promise<ReadonlySet<string>> {
  const where: Predicate = { op: 'in', left: { from: 'column', name: 'sha256' }, values: digests };
  const found = new Set<string>();
  for await (const record of everyRecord(scope, kind, { where, limit: 1000 })) {
    found.add(record.columns['sha256'] as string);
    if (found.size === digests.length) break;
  }
  return found;
}
