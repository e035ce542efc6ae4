import type { Order, Predicate } from '../contracts/query.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { decodeJson, digestJson, encodeJson } from '../json.ts';
import type { SqlValue } from './dialect.ts';

/** Where a page ended: the values of the last record's sort keys, and its id. */
export interface PagePosition {
  readonly values: readonly SqlValue[];
  readonly id: string;
}

/** What a cursor is bound to. Limits and facets may differ from page to page. */
export interface CursorScope {
  readonly workspace: string | undefined;
  readonly kind: string;
  readonly where: Predicate | undefined;
  readonly orderBy: readonly Order[];
}

/** The opaque text of a position; only {@link readCursor} with the same scope reads it. */
export function writeCursor(scope: CursorScope, position: PagePosition): string {
  const text = encodeJson([digest(scope), [...position.values], position.id]);
  return Buffer.from(text, 'utf8').toString('base64url');
}

/** The position in a cursor. INVALID for another query's cursor, or for what is none. */
export function readCursor(scope: CursorScope, cursor: string): PagePosition {
  const parts = parse(cursor);
  const [bound, values, id] = parts;
  if (!Array.isArray(values) || typeof id !== 'string' || parts.length !== 3) throw noCursor();
  if (bound !== digest(scope)) {
    throw new KeelsonError(
      'INVALID',
      'The cursor belongs to another query. Use it with the workspace, kind, filter and order that gave it.',
    );
  }
  for (const value of values) {
    if (value !== null && typeof value !== 'string' && typeof value !== 'number') throw noCursor();
    if (typeof value === 'number' && Number.isNaN(value)) throw noCursor();
  }
  return { values, id };
}

function parse(cursor: string): readonly unknown[] {
  try {
    const value = decodeJson(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(value)) return value;
  } catch (cause) {
    if (isKeelsonError(cause, 'CORRUPT')) throw noCursor(cause);
    throw cause;
  }
  throw noCursor();
}

function noCursor(cause?: unknown): KeelsonError {
  return new KeelsonError('INVALID', 'This is no cursor of a page.', { cause });
}

function digest(scope: CursorScope): string {
  const { workspace, kind, where, orderBy } = scope;
  return digestJson([workspace ?? null, kind, where ?? null, orderBy]).slice(0, 22);
}
