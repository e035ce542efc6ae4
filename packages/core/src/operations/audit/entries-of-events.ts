import type { StoredEvent } from '../../contracts/event.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { entryFromRecord, entryKind } from './audit-entry.ts';
import type { Findings } from './audit-report.ts';
import { isAuditedEvent } from './audited.ts';
import { inOrder } from './in-order.ts';

type WalkScope = Pick<Scope, 'metadata' | 'workspace'>;

/** Finds the entries of events that are handed over in the order of the log. */
export class EntriesOfEvents {
  readonly #scope: WalkScope;
  readonly #findings: Findings;
  /** Up to where a subject's entries were looked through: they are in the order of its events. */
  readonly #places = new Map<string, number>();

  constructor(scope: WalkScope, findings: Findings) {
    this.#scope = scope;
    this.#findings = findings;
  }

  /** Names those of the audited events that no entry attests. */
  async mustAttest(events: Iterable<StoredEvent>): Promise<void> {
    const bySubject = new Map<string, Map<string, StoredEvent>>();
    for (const event of events) {
      if (!isAuditedEvent(event.type)) continue;
      const mine = bySubject.get(event.subject) ?? new Map<string, StoredEvent>();
      bySubject.set(event.subject, mine.set(event.id, event));
    }
    const subjects = [...bySubject];
    const ends = await inOrder(subjects, ([subject, missing]) =>
      strikeOut(this.#scope, subject, this.#places.get(subject) ?? 0, missing),
    );
    for (const [index, [subject, missing]] of subjects.entries()) {
      const end = ends[index];
      if (end === undefined) continue;
      this.#places.set(subject, end);
      for (const { id, type } of missing.values()) {
        const problem = `Event ${id} (${type} of ${subject}) has no entry in the chain of ${subject}.`;
        this.#findings.addConsequence({ what: 'event', event: id, subject, problem });
      }
    }
  }
}

/**
 * Takes out what entries from `start` on attest; answers the last that was needed, nothing where some cannot be
 * read. That one is looked at again: a commit has one entry for its events, of which a page may have had the first.
 */
async function strikeOut(
  { metadata, workspace }: WalkScope,
  subject: string,
  start: number,
  missing: Map<string, StoredEvent>,
): Promise<number | undefined> {
  let needed = start;
  for (let place = start - 1; ; ) {
    const where: Predicate = {
      op: 'and',
      of: [
        { op: 'compare', left: { from: 'column', name: 'subject' }, cmp: '=', value: subject },
        { op: 'compare', left: { from: 'column', name: 'sequence' }, cmp: '>', value: place },
      ],
    };
    const by = { from: 'column', name: 'sequence' } as const;
    try {
      const orderBy = [{ by, direction: 'asc' } as const];
      // Nearly always these are the next, one each.
      const limit = Math.min(100, missing.size + 1);
      const { records } = await metadata.query(workspace, entryKind, {
        where,
        orderBy,
        limit,
      });
      for (const record of records) {
        const { attests, sequence } = entryFromRecord(record);
        for (const one of attests) {
          if ('event' in one && missing.delete(one.event)) needed = sequence;
        }
        place = sequence;
        if (missing.size === 0) return needed;
      }
      if (records.length < limit) return needed;
    } catch (error) {
      // The walk of the chains names it.
      if (isKeelsonError(error, 'CORRUPT')) return undefined;
      throw error;
    }
  }
}
