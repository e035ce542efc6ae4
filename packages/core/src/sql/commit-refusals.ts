import type { KindDeclaration } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';

/** What a refusal names: a record of a kind. */
export interface RefusedRecord {
  readonly kind: string;
  readonly id: string;
}

/** STALE: the record is not at the revision expected; `actual` is undefined where there is none. */
export function staleRecord(
  { kind, id }: RefusedRecord,
  expected: number | 'absent',
  actual: number | undefined,
): KeelsonError {
  const wanted = expected === 'absent' ? 'absent' : `at revision ${expected}`;
  const found = actual === undefined ? 'not there' : `at revision ${actual}`;
  return new KeelsonError(
    'STALE',
    `${kind} ${id} is ${found}, not ${wanted}. Read it again and decide anew.`,
    { details: { kind, id, expected, actual } },
  );
}

/** NOT_FOUND. */
export function missingRecord({ kind, id }: RefusedRecord): KeelsonError {
  return new KeelsonError('NOT_FOUND', `There is no ${kind} ${id}.`, { details: { kind, id } });
}

/** CONFLICT: the id is taken. */
export function takenId({ kind, id }: RefusedRecord): KeelsonError {
  return new KeelsonError('CONFLICT', `There is a ${kind} ${id} already.`, {
    details: { kind, id },
  });
}

/** CONFLICT: a unique key is taken by another record; `key` undefined for one of a newer declaration. */
export function takenKey(
  { kind, id }: RefusedRecord,
  key: NonNullable<KindDeclaration['unique']>[number] | undefined,
  takenBy: string | undefined,
  cause?: unknown,
): KeelsonError {
  if (key === undefined) {
    return new KeelsonError(
      'CONFLICT',
      `${kind} ${id} would take a unique key that is taken, of a newer declaration than this program's.`,
      { cause, details: { kind, id } },
    );
  }
  return new KeelsonError(
    'CONFLICT',
    `The ${key.name} (${key.columns.join(', ')}) of ${kind} ${id} is taken by ${takenBy}.`,
    { cause, details: { kind, id, unique: key.name, takenBy } },
  );
}

/** IMMUTABLE: a column, or the body where none is named, never changes. */
export function immutablePart(
  { kind, id }: RefusedRecord,
  column: string | undefined,
): KeelsonError {
  const what = column === undefined ? 'The body' : `The column ${column}`;
  return new KeelsonError('IMMUTABLE', `${what} of ${kind} ${id} never changes.`, {
    details: { kind, id, ...(column === undefined ? {} : { column }) },
  });
}

/** An adjustment that is refused. */
export interface RefusedAdjustment extends RefusedRecord {
  readonly column: string;
  /** What the column holds. */
  readonly value: number;
  readonly by: number;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

/** CONFLICT: the column would leave its bounds. */
export function outOfBounds(refused: RefusedAdjustment): KeelsonError {
  const { kind, id, column, value, by, min, max } = refused;
  return new KeelsonError(
    'CONFLICT',
    `The column ${column} of ${kind} ${id} is ${value}; changed by ${by} it would leave ${min ?? '−∞'} to ${max ?? '∞'}.`,
    { details: { kind, id, column, value, by } },
  );
}

/** INVALID: the column would be an integer that is not safe. */
export function unsafeInteger(refused: RefusedAdjustment): KeelsonError {
  const { kind, id, column, value, by } = refused;
  return new KeelsonError(
    'INVALID',
    `The column ${column} of ${kind} ${id} would leave the safe integers.`,
    { details: { kind, id, column, value, by } },
  );
}

/** LOST: the claim is not, or no longer, held. */
export function lostClaim(
  { kind, id }: RefusedRecord,
  { owner, fence }: { readonly owner: string; readonly fence: number },
): KeelsonError {
  return new KeelsonError(
    'LOST',
    `${owner} no longer holds ${kind} ${id} under fence ${fence}; somebody else may have it.`,
    { details: { kind, id, owner, fence } },
  );
}

/** CONFLICT: an event of this id has been emitted. */
export function emittedBefore(
  event: { readonly id: string; readonly type: string },
  cause?: unknown,
): KeelsonError {
  return new KeelsonError(
    'CONFLICT',
    `The event ${event.id} (${event.type}) has been emitted before.`,
    { cause, details: { event: event.id } },
  );
}
