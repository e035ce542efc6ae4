import type { Columns, FacetMap, KindDeclaration } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import { asJson, assertText, encodeJson } from '../json.ts';
import { assertColumn, type ColumnInput, columnInput } from './column-value.ts';

/** What to set and to remove of one facet. */
export interface CheckedFacet {
  readonly facet: string;
  readonly set: FacetMap;
  readonly unset: readonly string[];
}

/** Refuses, as INVALID, ids and names that are empty, long, or no text that every store keeps. */
export function assertName(value: unknown, label: string): string {
  const text = assertText(value, label, 1_000);
  if (text === '') throw invalid(`${label} must not be empty.`);
  return text;
}

/** All columns of a new record, required ones included, checked and made storable. */
export function allColumns(kind: KindDeclaration, columns: Columns, label: string): ColumnInput[] {
  for (const [name, { optional }] of Object.entries(kind.columns)) {
    const value = Object.hasOwn(columns, name) ? columns[name] : undefined;
    if (optional !== true && value === undefined) {
      throw invalid(`${label} must have the column ${name}.`);
    }
  }
  return namedColumns(kind, columns, label);
}

/** Columns by name, checked against the kind and made storable. */
export function namedColumns(
  kind: KindDeclaration,
  columns: Columns,
  label: string,
): ColumnInput[] {
  return Object.entries(columns).map(([name, value]) => {
    assertColumn(kind, name, label);
    return columnInput(kind, name, value, label);
  });
}

/** Facets to set and keys to remove, checked against the kind. */
export function checkFacets(
  kind: KindDeclaration,
  set: Readonly<Record<string, FacetMap>>,
  unset: Readonly<Record<string, readonly string[]>>,
  label: string,
): CheckedFacet[] {
  const names = new Set([...Object.keys(set), ...Object.keys(unset)]);
  return [...names].map((facet) => {
    const facets = kind.facets ?? {};
    const declared = Object.hasOwn(facets, facet) ? facets[facet] : undefined;
    if (declared === undefined) throw invalid(`${label} has no facet ${facet}.`);
    if (declared.source !== 'merged') {
      throw invalid(`The facet ${facet} of ${label} is projected; it cannot be written.`);
    }
    const values = Object.hasOwn(set, facet) ? (set[facet] ?? {}) : {};
    const removed = Object.hasOwn(unset, facet) ? (unset[facet] ?? []) : [];
    for (const key of [...Object.keys(values), ...removed]) {
      assertText(key, `A key of ${facet} of ${label}`);
    }
    return { facet, set: asJson(values, `${facet} of ${label}`) as FacetMap, unset: removed };
  });
}

/** A JSON object as text. */
export function encodeBody(body: unknown, label: string): string {
  const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
  if (!isObject) throw invalid(`${label} must have a JSON object, not ${typeof body}.`);
  return encodeJson(body, label);
}

/** Refuses, as INVALID, what is no safe integer. */
export function assertSafe(value: unknown, label: string): void {
  if (!Number.isSafeInteger(value)) {
    throw invalid(`${label} must be a safe integer, not ${String(value)}.`);
  }
}

function invalid(message: string): KeelsonError {
  return new KeelsonError('INVALID', message);
}
