import type { Order, Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';

/** All records of a kind that match; only for kinds whose records are few. */
export async function allRecords(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  kind: string,
  query: { readonly where?: Predicate; readonly orderBy?: readonly Order[] } = {},
): Promise<readonly StoredRecord[]> {
  const records: StoredRecord[] = [];
  let cursor: string | undefined;
  do {
    const page = await scope.metadata.query(scope.workspace, kind, {
      ...query,
      limit: 1000,
      ...(cursor === undefined ? {} : { cursor }),
    });
    records.push(...page.records);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return records;
}

/** A predicate: the column has the value. */
export function columnIs(name: string, value: string | number | boolean): Predicate {
  return { op: 'compare', left: { from: 'column', name }, cmp: '=', value };
}

/** A predicate: the column has one of the values. */
export function columnIn(name: string, values: readonly (string | number)[]): Predicate {
  return { op: 'in', left: { from: 'column', name }, values };
}

/** The parts of a subscription, in order; none when there is no such subscription. */
export function partitionsOf(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  subscription: string,
): Promise<readonly StoredRecord[]> {
  return allRecords(scope, 'subscription_partition', {
    where: columnIs('subscription', subscription),
    orderBy: [{ by: { from: 'column', name: 'number' }, direction: 'asc' }],
  });
}
