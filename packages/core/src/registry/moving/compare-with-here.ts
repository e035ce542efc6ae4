import type { MovedRecord, RecordLine } from '../../archive/record-lines.ts';
import type { EventDraft } from '../../contracts/event.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { canonicalJson } from '../../json.ts';
import { importedEventKind } from '../../operations/audit/chain-origin.ts';
import { alreadyHere, otherContent, sameContent } from '../../operations/restoring-records.ts';
import { movedFacets } from './model-groups.ts';

type ReadScope = Pick<Scope, 'metadata' | 'workspace'>;

/** Those of the lines whose records are not here; CONFLICT, naming it, for one that is here with other content. */
export async function missingLines(
  scope: ReadScope,
  lines: readonly RecordLine[],
): Promise<readonly RecordLine[]> {
  const here = new Map<string, StoredRecord>();
  for (const [kind, some] of Map.groupBy(lines, ({ record }) => record.kind)) {
    const found = await alreadyHere(
      scope,
      some.map(({ record }) => allFacets(record)),
    );
    for (const [id, record] of found) here.set(`${kind} ${id}`, record);
  }
  return lines.filter(({ record }) => {
    const found = here.get(`${record.kind} ${record.id}`);
    if (found === undefined) return true;
    if (!sameContent(found, allFacets(record))) throw otherContent(found, record);
    return false;
  });
}

/** Those of the datasets that are not here, however they are described. */
export async function missingDatasets(
  scope: ReadScope,
  lines: readonly RecordLine[],
): Promise<readonly RecordLine[]> {
  const here = await alreadyHere(
    scope,
    lines.map(({ record }) => record),
  );
  return lines.filter(({ record }) => !here.has(record.id));
}

/** A record with all facets of its kind, so that one that is here with more differs. */
function allFacets(record: MovedRecord): MovedRecord {
  const none = Object.fromEntries((movedFacets[record.kind] ?? []).map((name) => [name, {}]));
  return { ...record, facets: { ...none, ...record.facets } };
}

/** Those of the events that did not come yet; CONFLICT for an id that came with another event. */
export async function missingEvents(
  { metadata, workspace }: ReadScope,
  events: readonly EventDraft[],
): Promise<readonly EventDraft[]> {
  if (events.length === 0) return [];
  const ids = events.map(({ id }) => id);
  const found = await metadata.findMany(workspace, importedEventKind, ids);
  const here = new Map(found.map((record) => [record.id, record]));
  return events.filter((event) => {
    const record = here.get(event.id);
    if (record === undefined) return true;
    if (canonicalJson(record.body) === canonicalJson(event)) return false;
    throw new KeelsonError(
      'CONFLICT',
      `The event ${event.id} came with another import, and said something else. Nothing of it was changed.`,
      { details: { kind: importedEventKind, id: event.id } },
    );
  });
}
