import type { RecoveryOutcome } from '../../contracts/caretaker.ts';
import type { EventDraft } from '../../contracts/event.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { decideAndCommit } from '../decide-and-commit.ts';
import { columnIs } from '../every-record.ts';

/** One attempt to mend a fault. */
export interface RecoveryAttempt {
  readonly id: string;
  /** The check that stood at a fault. */
  readonly check: string;
  readonly recovery: string;
  /** 1 to 3, of this recovery for this fault. */
  readonly attempt: number;
  /** RUNNING also where its process was killed meanwhile. */
  readonly outcome: RecoveryOutcome | 'RUNNING';
  /** What came of it; of the fault while it runs. */
  readonly message: string;
  /** Epoch ms. */
  readonly startedAt: number;
  readonly endedAt?: number;
}

const kind = 'recovery';

/** Keeps an attempt as it is now, with an event, once, however often it is called. */
export async function saveAttempt(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'principal'>,
  attempt: RecoveryAttempt,
  event: EventDraft | undefined,
): Promise<void> {
  const { id, message, check, recovery, attempt: number, outcome, startedAt, endedAt } = attempt;
  await decideAndCommit(scope, async () => {
    const record = await scope.metadata.find(scope.workspace, kind, id);
    if (record?.columns['outcome'] === outcome) return { changes: [], result: undefined };
    const columns = { check, recovery, attempt: number, outcome, startedAt, endedAt };
    const body = { message };
    const change: Change =
      record === undefined
        ? { op: 'create', kind, id, columns, body }
        : { op: 'replace', kind, id, expect: record.revision, columns: { outcome, endedAt }, body };
    const changes = event === undefined ? [change] : [change, { op: 'emit' as const, event }];
    return { changes, result: undefined };
  });
}

/** Attempts, newest first. */
export async function listAttempts(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  options: { readonly check?: string; readonly since?: number; readonly limit?: number },
): Promise<readonly RecoveryAttempt[]> {
  const { check, since, limit = 100 } = options;
  const of: Predicate[] = [];
  if (check !== undefined) of.push(columnIs('check', check));
  if (since !== undefined) {
    of.push({
      op: 'compare',
      left: { from: 'column', name: 'startedAt' },
      cmp: '>=',
      value: since,
    });
  }
  const { records } = await scope.metadata.query(scope.workspace, kind, {
    ...(of.length === 0 ? {} : { where: { op: 'and', of } }),
    orderBy: [{ by: { from: 'column', name: 'startedAt' }, direction: 'desc' }],
    limit,
  });
  return records.map(attemptFrom);
}

function attemptFrom({ id, columns, body }: StoredRecord): RecoveryAttempt {
  const endedAt = columns['endedAt'] as number | undefined;
  return {
    id,
    check: columns['check'] as string,
    recovery: columns['recovery'] as string,
    attempt: columns['attempt'] as number,
    outcome: columns['outcome'] as RecoveryAttempt['outcome'],
    message: String(body['message'] ?? ''),
    startedAt: columns['startedAt'] as number,
    ...(endedAt === undefined ? {} : { endedAt }),
  };
}
