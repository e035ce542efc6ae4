import type { Columns, KindDeclaration } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, type JsonObject } from '../json.ts';
import { columnIs } from './every-record.ts';

/** A record as it was, and who made it so. */
export interface RecordAsOf {
  readonly kind: string;
  readonly id: string;
  /** Of a route, its generation. */
  readonly revision: number;
  /** Since when it was so, in epoch ms, by the store's clock. */
  readonly since: number;
  readonly by: string;
  readonly reason?: string;
  readonly correlationId?: string;
  readonly columns: Columns;
  readonly body: JsonObject;
}

/** Kinds that people name, and the column that has the name. */
const names: Readonly<Record<string, string>> = {
  model: 'name',
  deployment: 'name',
  route: 'deploymentName',
  experiment: 'liveName',
  access_role: 'name',
};

/**
 * The record as it was at a time: its last revision until then. Nothing where it was not there. Facets (tags,
 * params, metrics) have no revisions and are not in it.
 */
export async function recordAsOf(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  kinds: readonly KindDeclaration[],
  asked: { readonly kind: string; readonly id: string; readonly at: number | Date },
): Promise<RecordAsOf | undefined> {
  const { metadata, workspace } = scope;
  const kind = assertText(asked.kind, 'A kind of records');
  const at = timeOf(asked.at);
  const travelling = kinds.filter(({ history }) => history === 'kept').map(({ name }) => name);
  if (!travelling.includes(kind)) {
    throw new KeelsonError(
      'INVALID',
      `Nobody keeps what a ${kind.slice(0, 100)} was; there are ${travelling.join(', ')}.`,
    );
  }
  const id = await idOf(scope, kind, assertText(asked.id, 'An id'));
  let found: RecordAsOf | undefined;
  // All of them: a record that was removed and made again begins anew at revision 1.
  const entries = await metadata.history(workspace, kind, id, { limit: 100_000 });
  for (const { at: since, removed, ...entry } of entries) {
    if (since > at) break;
    found = removed ? undefined : { kind, id, since, ...entry };
  }
  return found;
}

/** The id of the record that is named so, where it is not an id itself. */
async function idOf(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  kind: string,
  given: string,
): Promise<string> {
  const column = Object.hasOwn(names, kind) ? names[kind] : undefined;
  if (column === undefined) return given;
  const where = columnIs(column, given);
  const { records } = await metadata.query(workspace, kind, { where, limit: 1 });
  return records[0]?.id ?? given;
}

function timeOf(at: unknown): number {
  const time = at instanceof Date ? at.getTime() : at;
  if (typeof time === 'number' && !Number.isNaN(time)) return time;
  throw new KeelsonError('INVALID', 'The time of asOf must be epoch milliseconds or a Date.');
}
