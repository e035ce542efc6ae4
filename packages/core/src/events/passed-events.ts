import type { StoredEvent } from '../contracts/event.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';

const kind = 'event_interest';

/**
 * Notes which types a subscription sees, beside those noted before: processes of two versions may share one.
 */
export async function noteInterest(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'principal'>,
  subscription: string,
  types: readonly string[],
): Promise<void> {
  const { metadata, workspace, principal } = scope;
  const id = `interest:${subscription}`;
  for (;;) {
    const record = await metadata.find(workspace, kind, id);
    const known = record === undefined ? [] : typesOf(record);
    const all = [...new Set([...known, ...types])].sort();
    if (record !== undefined && all.length === known.length) return;
    const body = { types: all };
    try {
      await metadata.commit({
        workspace,
        principal: principal.id,
        changes: [
          record === undefined
            ? { op: 'create', kind, id, columns: { subscription }, body }
            : { op: 'replace', kind, id, expect: record.revision, body },
        ],
      });
      return;
    } catch (error) {
      // Another process was first; what it noted counts too.
      if (!isKeelsonError(error, 'CONFLICT', 'STALE')) throw error;
    }
  }
}

/**
 * Those of the events (at most 1,000) that every subscription of the workspace which sees their type has
 * passed, and that no dead letter names: nobody misses them in the log. `waitingFor` are the subscriptions
 * for which others stay.
 */
export async function passedByAll(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  events: readonly StoredEvent[],
): Promise<{ readonly passed: readonly StoredEvent[]; readonly waitingFor: readonly string[] }> {
  const { waiting, waitingFor } = await lettersOf(scope, events);
  const interests = new Map(
    (await everything(scope, kind)).map((record) => [
      record.columns['subscription'],
      typesOf(record),
    ]),
  );
  for (const { columns } of await everything(scope, 'subscription')) {
    const types = interests.get(columns['name']);
    const seen = types === undefined ? events : events.filter(({ type }) => types.includes(type));
    if (seen.length === 0) continue;
    const after = columns['cursor'] as string | undefined;
    const ahead = await scope.metadata.readEvents({
      workspace: scope.workspace,
      filter: { ids: seen.map(({ id }) => id) },
      limit: 1000,
      ...(after === undefined ? {} : { after }),
    });
    for (const { id } of ahead.events) waiting.add(id);
    if (ahead.events.length > 0) waitingFor.add(columns['name'] as string);
  }
  return {
    passed: events.filter(({ id }) => !waiting.has(id)),
    waitingFor: [...waitingFor].sort(),
  };
}

async function lettersOf(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  events: readonly StoredEvent[],
): Promise<{ readonly waiting: Set<string>; readonly waitingFor: Set<string> }> {
  const left = { from: 'column', name: 'eventId' } as const;
  const values = events.map(({ id }) => id);
  const letters = await everything(scope, 'dead_letter', { op: 'in', left, values });
  return {
    waiting: new Set(letters.map(({ columns }) => columns['eventId'] as string)),
    waitingFor: new Set(letters.map(({ columns }) => columns['subscription'] as string)),
  };
}

async function everything(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  of: string,
  where?: Predicate,
): Promise<readonly StoredRecord[]> {
  const records: StoredRecord[] = [];
  let cursor: string | undefined;
  do {
    const page = await scope.metadata.query(scope.workspace, of, {
      limit: 1000,
      ...(where === undefined ? {} : { where }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    records.push(...page.records);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return records;
}

function typesOf({ body }: StoredRecord): readonly string[] {
  return body['types'] as readonly string[];
}
