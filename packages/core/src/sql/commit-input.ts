import type { EventDraft } from '../contracts/event.ts';
import type { Change, Commit } from '../contracts/metadata-store.ts';
import type { ColumnDeclaration, KindDeclaration } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { assertColumn, type ColumnInput } from './column-value.ts';
import {
  allColumns,
  assertName,
  assertSafe,
  type CheckedFacet,
  checkFacets,
  encodeBody,
  namedColumns,
} from './record-input.ts';
import { type CheckedRestore, checkRestore } from './restore-input.ts';

/** The declared kinds of a store. */
export type Kinds = ReadonlyMap<string, KindDeclaration>;

/** A change that passed every check which needs no look at the store, its values made storable. */
export type CheckedChange =
  | {
      readonly op: 'create';
      readonly kind: KindDeclaration;
      readonly id: string;
      readonly columns: readonly ColumnInput[];
      readonly body: string;
      readonly facets: readonly CheckedFacet[];
    }
  | CheckedRestore
  | {
      readonly op: 'replace';
      readonly kind: KindDeclaration;
      readonly id: string;
      readonly expect: number;
      readonly columns: readonly ColumnInput[];
      readonly body: string | undefined;
    }
  | {
      readonly op: 'merge';
      readonly kind: KindDeclaration;
      readonly id: string;
      readonly facets: readonly CheckedFacet[];
    }
  | {
      readonly op: 'remove';
      readonly kind: KindDeclaration;
      readonly id: string;
      readonly expect: number;
    }
  | {
      readonly op: 'assert';
      readonly kind: KindDeclaration;
      readonly id: string;
      readonly expect: number | 'absent';
    }
  | {
      readonly op: 'adjust';
      readonly kind: KindDeclaration;
      readonly id: string;
      readonly column: string;
      readonly declaration: ColumnDeclaration;
      readonly by: number;
      readonly min: number | undefined;
      readonly max: number | undefined;
    }
  | {
      readonly op: 'hold';
      readonly kind: KindDeclaration;
      readonly id: string;
      readonly owner: string;
      readonly fence: number;
    }
  | { readonly op: 'emit'; readonly event: EventDraft; readonly payload: string };

const maxChanges = 500;
const maxEventBytes = 1_000_000;

/** Refuses, as INVALID and naming the place, what no state of a store could make right. */
export function checkCommit(kinds: Kinds, commit: Commit): readonly CheckedChange[] {
  assertName(commit.workspace, 'The workspace');
  assertText(commit.principal, 'The principal');
  if (commit.reason !== undefined) assertText(commit.reason, 'The reason');
  if (commit.correlationId !== undefined) assertText(commit.correlationId, 'The correlation id');
  if (commit.changes.length > maxChanges) {
    throw invalid(
      `A commit may have at most ${maxChanges} changes; this one has ${commit.changes.length}.`,
    );
  }
  return commit.changes.map((change) => checkChange(kinds, change));
}

/** The declaration of a kind; INVALID for one that was not declared. */
export function kindOf(kinds: Kinds, name: string): KindDeclaration {
  const kind = kinds.get(name);
  if (kind === undefined) throw invalid(`There is no kind ${String(name)}.`);
  return kind;
}

function checkChange(kinds: Kinds, change: Change): CheckedChange {
  if (change.op === 'emit') return checkEmit(change.event);
  if (change.op === 'restore') return checkRestore(kindOf(kinds, change.record.kind), change);
  const kind = kindOf(kinds, change.kind);
  const id = assertName(change.id, `The id of a ${change.kind}`);
  const label = `${kind.name} ${id}`;
  switch (change.op) {
    case 'create':
      return {
        op: 'create',
        kind,
        id,
        columns: allColumns(kind, change.columns, label),
        body: encodeBody(change.body ?? {}, label),
        facets: checkFacets(kind, change.facets ?? {}, {}, label),
      };
    case 'replace':
      assertRevision(change.expect, label);
      return {
        op: 'replace',
        kind,
        id,
        expect: change.expect,
        columns: namedColumns(kind, change.columns ?? {}, label),
        body: change.body === undefined ? undefined : encodeBody(change.body, label),
      };
    case 'merge': {
      const facets = checkFacets(kind, change.set ?? {}, change.unset ?? {}, label);
      return { op: 'merge', kind, id, facets };
    }
    case 'remove':
      assertRevision(change.expect, label);
      return { op: 'remove', kind, id, expect: change.expect };
    case 'assert':
      if (change.expect !== 'absent') assertRevision(change.expect, label);
      return { op: 'assert', kind, id, expect: change.expect };
    case 'adjust':
      return checkAdjust(kind, id, change);
    case 'hold':
      assertClaimable(kind);
      assertName(change.owner, 'The owner of a claim');
      assertSafe(change.fence, 'The fence of a claim');
      return { op: 'hold', kind, id, owner: change.owner, fence: change.fence };
    default:
      throw invalid(`There is no change '${String((change as { op: unknown }).op)}'.`);
  }
}

/** Refuses, as INVALID, claims on a kind that was not declared claimable. */
export function assertClaimable(kind: KindDeclaration): void {
  if (kind.claimable !== true) throw invalid(`Records of the kind ${kind.name} are not claimable.`);
}

function checkAdjust(
  kind: KindDeclaration,
  id: string,
  change: Extract<Change, { op: 'adjust' }>,
): CheckedChange {
  const label = `${kind.name} ${id}`;
  const declaration = assertColumn(kind, change.column, label);
  const { type } = declaration;
  if (type !== 'integer' && type !== 'real') {
    throw invalid(`The column ${change.column} of ${label} is ${type}; it cannot be adjusted.`);
  }
  if (declaration.immutable === true) {
    throw new KeelsonError('IMMUTABLE', `The column ${change.column} of ${label} never changes.`, {
      details: { kind: kind.name, id, column: change.column },
    });
  }
  if (type === 'integer') assertSafe(change.by, `The amount for ${change.column} of ${label}`);
  else if (!Number.isFinite(change.by)) {
    throw invalid(`The amount for ${change.column} of ${label} must be a finite number.`);
  }
  for (const bound of [change.min, change.max]) {
    if (bound !== undefined && (typeof bound !== 'number' || Number.isNaN(bound))) {
      throw invalid(`A bound for ${change.column} of ${label} must be a number.`);
    }
  }
  const { column, by, min, max } = change;
  return { op: 'adjust', kind, id, column, declaration, by, min, max };
}

function checkEmit(event: EventDraft): CheckedChange {
  assertName(event.id, 'The id of an event');
  assertName(event.type, 'The type of an event');
  assertText(event.subject, 'The subject of an event', 10_000);
  assertText(event.source, 'The source of an event');
  assertText(event.correlationId, 'The correlation id of an event');
  assertText(event.principal, 'The principal of an event');
  if (event.causationId !== undefined)
    assertText(event.causationId, 'The causation id of an event');
  assertSafe(event.at, 'The time of an event');
  assertSafe(event.schemaVersion, 'The schema version of an event');
  const payload = encodeBody(event.payload, `The payload of event ${event.id}`);
  const bytes = Buffer.byteLength(payload, 'utf8');
  if (bytes > maxEventBytes) {
    throw invalid(
      `The payload of event ${event.id} (${event.type}) has ${bytes} bytes of JSON; at most ${maxEventBytes} are allowed. Put the content elsewhere and its id here.`,
    );
  }
  return { op: 'emit', event, payload };
}

function assertRevision(expect: unknown, label: string): void {
  assertSafe(expect, `The revision expected of ${label}`);
}

function invalid(message: string): KeelsonError {
  return new KeelsonError('INVALID', message);
}
