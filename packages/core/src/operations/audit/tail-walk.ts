import type { StoredEvent } from '../../contracts/event.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import type { Findings } from './audit-report.ts';
import type { EntriesOfEvents } from './entries-of-events.ts';
import { subjectsOf } from './sealing.ts';

const pageSize = 500;

type WalkScope = Pick<Scope, 'metadata' | 'workspace'>;

/** Walks the events behind the last seal, each of which must have its entry; answers whom they tell of. */
export async function walkTail(
  scope: WalkScope,
  findings: Findings,
  from: { readonly cursor: string | undefined; readonly entries: EntriesOfEvents },
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<string>> {
  const { metadata, workspace } = scope;
  const subjects = new Set<string>();
  let after = from.cursor;
  let before = 'the last that is sealed';
  for (let limit = pageSize; ; ) {
    signal?.throwIfAborted();
    const place = after === undefined ? {} : { after };
    let page: { readonly events: readonly StoredEvent[]; readonly cursor: string };
    try {
      page = await metadata.readEvents({ workspace, limit, ...place });
    } catch (error) {
      if (!isKeelsonError(error, 'CORRUPT')) throw error;
      if (limit > 1) {
        limit = 1;
        continue;
      }
      const problem = `The event behind ${before} cannot be read: ${error.message} What comes after it was not looked at.`;
      findings.add({ what: 'event', problem });
      return subjects;
    }
    for (const event of page.events) for (const each of subjectsOf(event)) subjects.add(each);
    findings.unsealedEvents += page.events.length;
    await from.entries.mustAttest(page.events);
    findings.tell();
    if (page.events.length < limit) return subjects;
    after = page.cursor;
    before = page.events.at(-1)?.id ?? before;
  }
}
