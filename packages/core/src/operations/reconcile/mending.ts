import type { Finding } from '../../contracts/caretaker.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Columns, StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { commitChanges } from '../decide-and-commit.ts';

/** What a look at records needs. */
export type MendingScope = Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'logger'>;

/** How findings are dealt with. */
export interface Mending {
  readonly mend: boolean;
  readonly signal: AbortSignal;
}

/** What would make a record right again: it goes, or columns are set (`undefined` empties them). */
export type Mend = 'remove' | { readonly columns: Columns };

/** A record that was found wrong, and what would mend it, if anything would. */
export interface Fault {
  readonly component: string;
  readonly record: StoredRecord;
  readonly problem: string;
  readonly mend?: Mend;
}

const reason = 'reconciliation';

/**
 * Makes a finding of a fault, and mends it where that is asked for and can be done. Undefined where the
 * record is no longer what it was: others work meanwhile, and the next look will tell.
 */
export async function settle(
  scope: MendingScope,
  fault: Fault,
  { mend, signal }: Mending,
): Promise<Finding | undefined> {
  signal.throwIfAborted();
  const { component, record, problem, mend: remedy } = fault;
  const { kind, id, revision } = record;
  const subject = `${kind}:${id}`;
  if (!mend || remedy === undefined) {
    const now = await scope.metadata.find(scope.workspace, kind, id);
    if (now?.revision !== revision) return undefined;
    return { component, subject, problem, mended: false };
  }
  const change: Change =
    remedy === 'remove'
      ? { op: 'remove', kind, id, expect: revision }
      : { op: 'replace', kind, id, expect: revision, columns: remedy.columns };
  try {
    await commitChanges(scope, [change], reason);
  } catch (error) {
    if (isKeelsonError(error, 'STALE', 'NOT_FOUND')) return undefined;
    throw error;
  }
  const fields = { component, operation: 'reconcile', subject };
  scope.logger.info(fields, `${subject} was mended: ${problem}`);
  return { component, subject, problem, mended: true };
}
