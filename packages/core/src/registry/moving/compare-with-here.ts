import type { MovedRecord, RecordLine } from '../../archive/record-lines.ts';
import type { EventDraft } from '../../contracts/event.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { canonicalJson } from '../../json.ts';
import { eventsIn, revisionsIn } from '../../operations/audit/arriving-chain.ts';
import type { AttestedRevision } from '../../operations/audit/attestation.ts';
import { evidenceId, evidenceKind } from '../../operations/audit/chain-origin.ts';
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

/** An event that an entry attests, or a revision of a record that was removed. */
export type Evidence = EventDraft | AttestedRevision;

/** What comes as evidence with an entry of the audit. */
export function evidenceOf({ record, more }: RecordLine): readonly Evidence[] {
  return record.kind === 'audit_entry' ? [...eventsIn(more), ...revisionsIn(more)] : [];
}

/** Those that did not come yet; CONFLICT for one that came with another import and is another. */
export async function missingEvidence(
  { metadata, workspace }: ReadScope,
  evidence: readonly Evidence[],
): Promise<readonly Evidence[]> {
  if (evidence.length === 0) return [];
  const ids = evidence.map(idOfEvidence);
  const found: StoredRecord[] = [];
  for (let at = 0; at < ids.length; at += mostIds) {
    const some = ids.slice(at, at + mostIds);
    found.push(...(await metadata.findMany(workspace, evidenceKind, some)));
  }
  const here = new Map(found.map((record) => [record.id, record]));
  return evidence.filter((one) => {
    const id = idOfEvidence(one);
    const record = here.get(id);
    if (record === undefined) return true;
    if (canonicalJson(record.body) === canonicalJson(one)) return false;
    throw new KeelsonError(
      'CONFLICT',
      `What the audit attests as ${id} came with another import, and was something else. Nothing of it was changed.`,
      { details: { kind: evidenceKind, id } },
    );
  });
}

/** Where it lies. */
export function idOfEvidence(one: Evidence): string {
  return evidenceId('payload' in one ? { event: one.id } : one);
}

/** Most that `findMany` takes. */
const mostIds = 1_000;
