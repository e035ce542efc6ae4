import type { KindDeclaration, RevisionEntry, StoredRecord } from '../../contracts/record.ts';
import { checkText, type Refusing, storeBody, storeColumns } from './reference-world.ts';

/** The revisions that come with a restored record, checked. */
export function restoredHistory(
  world: Refusing,
  kind: KindDeclaration,
  record: Omit<StoredRecord, 'workspace'>,
  history: readonly RevisionEntry[],
): readonly RevisionEntry[] {
  const refuse = (label: string, why: string): void =>
    world.refuse(label, 'INVALID', `The history of ${kind.name} ${record.id} ${why}.`);
  if (kind.history === 'none') {
    if (history.length > 0) refuse('history of none', 'should not be');
    return [];
  }
  history.forEach((entry, i) => {
    const last = history[i - 1]?.revision ?? 0;
    if (!Number.isSafeInteger(entry.revision) || entry.revision <= last) {
      refuse('history ascends', 'does not ascend');
    }
    if (!Number.isSafeInteger(entry.at)) refuse('history times', 'has no time');
    if (entry.removed) refuse('history removal', 'has a removal');
    const texts = {
      by: entry.by,
      reason: entry.reason ?? '',
      correlation: entry.correlationId ?? '',
    };
    for (const [name, text] of Object.entries(texts)) {
      checkText(world, 'history text', text, `${name} of ${kind.name} ${record.id}`);
    }
  });
  if ((history.at(-1)?.revision ?? 0) !== record.revision) {
    refuse('history end', `does not end at ${record.revision}`);
  }
  return history.map((entry) => ({
    ...entry,
    columns: storeColumns(world, kind, entry.columns, false),
    body: storeBody(world, entry.body),
  }));
}
