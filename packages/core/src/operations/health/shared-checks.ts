import type { HealthCheck } from '../../contracts/caretaker.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';
import { commitChanges, decideAndCommit } from '../decide-and-commit.ts';
import { type CheckState, untried } from './check-state.ts';

type SharedScope = Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'clock'>;

const kind = 'health_check';
const idOf = (check: HealthCheck): string => `check:${check.name}`;

/** Whether this process runs a shared check now, and how the check stood before. */
export interface Turn {
  readonly mine: boolean;
  readonly before: CheckState;
  /** When somebody runs it next, in epoch ms. */
  readonly dueAt: number;
}

/** Checks that one process runs for all: their records say what came of them and when they are due. */
export class SharedChecks {
  readonly #scope: SharedScope;

  constructor(scope: SharedScope) {
    this.#scope = scope;
  }

  /** Takes the turn where the check is due, or is `forced`; of several processes one gets it. */
  async take(check: HealthCheck, forced: boolean): Promise<Turn> {
    const { metadata, workspace, clock } = this.#scope;
    const id = idOf(check);
    const now = clock.now();
    const record = await metadata.find(workspace, kind, id);
    const before = record === undefined ? untried(check) : stateOf(record, check);
    const due = record === undefined ? 0 : (record.columns['dueAt'] as number);
    // A clock that was set back must not silence a check.
    if (!forced && due > now && due <= now + 2 * check.intervalMs) {
      return { mine: false, before, dueAt: due };
    }
    const dueAt = now + check.intervalMs;
    try {
      if (record === undefined) {
        const columns = { name: check.name, status: before.status, failures: 0, dueAt };
        await commitChanges(this.#scope, [{ op: 'create', kind, id, columns }]);
      } else {
        const { revision: expect } = record;
        await commitChanges(this.#scope, [{ op: 'replace', kind, id, expect, columns: { dueAt } }]);
      }
    } catch (error) {
      if (!isKeelsonError(error, 'STALE', 'CONFLICT', 'NOT_FOUND')) throw error;
      return { mine: forced, before, dueAt };
    }
    return { mine: true, before, dueAt };
  }

  /** Tells the other processes how the check stands. */
  async put(check: HealthCheck, state: CheckState): Promise<void> {
    const { metadata, workspace } = this.#scope;
    const id = idOf(check);
    const { status, failures, message, details, since, at, durationMs } = state;
    const told = { message, details, since, at, durationMs };
    await decideAndCommit(this.#scope, async () => {
      const record = await metadata.find(workspace, kind, id);
      if (record === undefined) {
        return { changes: [], result: undefined };
      }
      const columns = { status, failures };
      const body = Object.fromEntries(
        Object.entries(told).filter(([, value]) => value !== undefined),
      ) as JsonObject;
      const { revision: expect } = record;
      return {
        changes: [{ op: 'replace', kind, id, expect, columns, body }],
        result: undefined,
      };
    });
  }
}

function stateOf(record: StoredRecord, check: HealthCheck): CheckState {
  const { columns, body } = record;
  const { name, component, kind: checkKind, critical } = check;
  const none = untried(check);
  const told = body as unknown as Partial<CheckState>;
  return {
    ...{ name, component, kind: checkKind, critical },
    ...(told.details === undefined ? {} : { details: told.details }),
    status: columns['status'] as CheckState['status'],
    failures: columns['failures'] as number,
    message: told.message ?? none.message,
    since: told.since,
    at: told.at,
    durationMs: told.durationMs ?? 0,
  };
}
