import type { HealthStatus } from '../../contracts/caretaker.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { withCorrelation } from '../../events/correlation.ts';
import { draftEvent, type SaidEvent } from '../../events/draft-event.ts';
import { decideAndCommit } from '../decide-and-commit.ts';
import { everyRecord } from '../every-record.ts';
import type { WaitingWrites } from './waiting-writes.ts';

/** A component is better or worse than before. */
export interface ComponentChange {
  readonly component: string;
  readonly status: HealthStatus;
  readonly message: string;
  /** When it changed, in epoch ms. */
  readonly at: number;
  /** The check that tells, where one does. */
  readonly check?: string;
  readonly correlationId: string;
}

type ChangesScope = Pick<
  Scope,
  'metadata' | 'workspace' | 'principal' | 'clock' | 'ids' | 'logger'
>;

const kind = 'component_health';
/** A process that sees a fault says so this often. */
const touchEveryMs = 60_000;
/** A fault that no process has seen for so long is over where it is not seen. */
const unseenMs = 300_000;

/**
 * Tells of changes of components, once for all processes that see the same: a record for each component
 * is replaced in the commit that emits the event. While the store is away, changes wait.
 */
export class ComponentChanges {
  readonly #scope: ChangesScope;
  readonly #writes: WaitingWrites;
  readonly #mine = new Map<string, HealthStatus>();
  #touchedAt = 0;

  constructor(scope: ChangesScope, writes: WaitingWrites) {
    this.#scope = scope;
    this.#writes = writes;
  }

  note(change: ComponentChange): void {
    this.#mine.set(change.component, change.status);
    this.#writes.add(() => this.#tell(change));
  }

  /** Says of faults, once a minute, that they are still seen; ends those that nobody sees any more. */
  touch(): void {
    const now = this.#scope.clock.now();
    if (Math.abs(now - this.#touchedAt) < touchEveryMs || this.#mine.size === 0) return;
    this.#touchedAt = now;
    this.#writes.add(() => this.#touch(now));
  }

  async #tell(change: ComponentChange): Promise<void> {
    const { metadata, workspace, clock } = this.#scope;
    const { component, status, at, correlationId } = change;
    const id = idOf(component);
    await withCorrelation({ correlationId }, () =>
      decideAndCommit(this.#scope, async () => {
        const record = await metadata.find(workspace, kind, id);
        const old = (record?.columns['status'] ?? 'UNKNOWN') as HealthStatus;
        const now = clock.now();
        const columns = { status, since: at, seenAt: now };
        const changes: Change[] = [];
        if (record === undefined) {
          changes.push({ op: 'create', kind, id, columns: { component, ...columns } });
        } else if (old !== status) {
          changes.push({ op: 'replace', kind, id, expect: record.revision, columns });
        }
        // That all is well at the first look is no news.
        if (old !== status && (record !== undefined || status !== 'HEALTHY')) {
          changes.push({
            op: 'emit',
            event: { ...draftEvent(this.#scope, changed(change, old)), at },
          });
        }
        return { changes, result: undefined };
      }),
    );
  }

  /** Faults seen here are touched; faults that nobody has seen for long, and that are none here, are over. */
  async #touch(now: number): Promise<void> {
    for await (const record of everyRecord(this.#scope, kind)) {
      const component = record.columns['component'] as string;
      const mine = this.#mine.get(component);
      if (mine === undefined || record.columns['status'] === 'HEALTHY') continue;
      const seenAt = record.columns['seenAt'] as number;
      if (mine !== 'HEALTHY') {
        const by = now - seenAt;
        const { id } = record;
        await this.#commit({ op: 'adjust', kind, id, column: 'seenAt', by });
      } else if (now - seenAt > unseenMs) {
        this.note({
          ...{ component, status: 'HEALTHY', at: now, correlationId: this.#scope.ids.next() },
          message: 'No process has seen the fault for five minutes.',
        });
      }
    }
  }

  async #commit(change: Change): Promise<void> {
    const { metadata, workspace, principal } = this.#scope;
    try {
      await metadata.commit({ workspace, principal: principal.id, changes: [change] });
    } catch (error) {
      if (!isKeelsonError(error, 'NOT_FOUND', 'CONFLICT')) throw error;
    }
  }
}

function idOf(component: string): string {
  return `component:${component}`;
}

function changed(
  change: ComponentChange,
  oldStatus: HealthStatus,
): SaidEvent<'component.health_changed'> {
  const { component, status: newStatus, message, check } = change;
  return {
    type: 'component.health_changed',
    subject: `component:${component}`,
    source: 'operations',
    payload: {
      component,
      oldStatus,
      newStatus,
      message,
      ...(check === undefined ? {} : { check }),
    },
  };
}
