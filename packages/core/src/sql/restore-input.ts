import type { Change } from '../contracts/metadata-store.ts';
import type { KindDeclaration, RevisionEntry } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, encodeJson } from '../json.ts';
import { type ColumnInput, columnOutput } from './column-value.ts';
import {
  allColumns,
  assertName,
  assertSafe,
  type CheckedFacet,
  checkFacets,
  encodeBody,
  namedColumns,
} from './record-input.ts';

/** A restored record that passed every check which needs no look at the store. */
export interface CheckedRestore {
  readonly op: 'restore';
  readonly kind: KindDeclaration;
  readonly id: string;
  readonly revision: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly columns: readonly ColumnInput[];
  readonly body: string;
  readonly facets: readonly CheckedFacet[];
  /** Undefined: the commit itself stands in the history, if the kind keeps any. */
  readonly history: readonly CheckedRevision[] | undefined;
}

/** A kept revision, its columns and body as encodeJson writes them. */
export interface CheckedRevision {
  readonly revision: number;
  readonly at: number;
  readonly by: string;
  readonly reason: string | undefined;
  readonly correlationId: string | undefined;
  readonly columns: string;
  readonly body: string;
}

/** Refuses, as INVALID and naming the place, what `create` would, and a history that is not the record's. */
export function checkRestore(
  kind: KindDeclaration,
  { record, history }: Extract<Change, { op: 'restore' }>,
): CheckedRestore {
  const id = assertName(record.id, `The id of a ${kind.name}`);
  const label = `${kind.name} ${id}`;
  assertSafe(record.revision, `The revision of ${label}`);
  if (record.revision < 1) throw invalid(`The revision of ${label} must be 1 or more.`);
  assertSafe(record.createdAt, `createdAt of ${label}`);
  assertSafe(record.updatedAt, `updatedAt of ${label}`);
  return {
    op: 'restore',
    kind,
    id,
    revision: record.revision,
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
    columns: allColumns(kind, record.columns, label),
    body: encodeBody(record.body, label),
    facets: checkFacets(kind, record.facets, {}, label),
    history:
      history === undefined ? undefined : checkHistory(kind, history, record.revision, label),
  };
}

function checkHistory(
  kind: KindDeclaration,
  history: readonly RevisionEntry[],
  revision: number,
  label: string,
): readonly CheckedRevision[] {
  if (kind.history !== 'kept') {
    if (history.length > 0) throw invalid(`${label} is of a kind that keeps no history.`);
    return [];
  }
  let before = 0;
  const checked = history.map((entry) => {
    const place = `revision ${entry.revision} of ${label}`;
    assertSafe(entry.revision, `A revision in the history of ${label}`);
    if (entry.revision <= before) {
      throw invalid(
        `The history of ${label} must ascend from 1: ${entry.revision} follows ${before}.`,
      );
    }
    before = entry.revision;
    if (entry.removed) throw invalid(`The history of ${label} has a removal, at ${place}.`);
    return checkRevision(kind, entry, place);
  });
  if (before !== revision) {
    throw invalid(
      `The history of ${label} must end at its revision ${revision}, not at ${before}.`,
    );
  }
  return checked;
}

function checkRevision(
  kind: KindDeclaration,
  entry: RevisionEntry,
  place: string,
): CheckedRevision {
  assertSafe(entry.at, `The time of ${place}`);
  assertText(entry.by, `Who made ${place}`);
  if (entry.reason !== undefined) assertText(entry.reason, `The reason of ${place}`);
  if (entry.correlationId !== undefined) {
    assertText(entry.correlationId, `The correlation id of ${place}`);
  }
  // Not all that is required now: the kind may have demanded less then.
  const given = Object.entries(entry.columns).filter(([, value]) => value !== undefined);
  const columns = namedColumns(kind, Object.fromEntries(given), place).map(
    ({ name, declaration, value, flag }) => [name, columnOutput(declaration, value, flag)] as const,
  );
  return {
    revision: entry.revision,
    at: entry.at,
    by: entry.by,
    reason: entry.reason,
    correlationId: entry.correlationId,
    columns: encodeJson(Object.fromEntries(columns), place),
    body: encodeBody(entry.body, place),
  };
}

function invalid(message: string): KeelsonError {
  return new KeelsonError('INVALID', message);
}
