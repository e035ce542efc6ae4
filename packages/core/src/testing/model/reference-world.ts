import type { StoredEvent } from '../../contracts/event.ts';
import type {
  Columns,
  ColumnValue,
  FacetMap,
  KindDeclaration,
  RevisionEntry,
  StoredRecord,
} from '../../contracts/record.ts';
import { type ErrorCode, KeelsonError } from '../../errors.ts';
import { asJson, assertText, canonicalJson, type JsonObject } from '../../json.ts';
import { compareRecords } from '../../language/compare-records.ts';
import { evaluatePredicate } from '../../language/evaluate-predicate.ts';
import type { Evaluable, Figures } from '../../language/select-value.ts';

/** A claim as the reference store keeps it. */
export interface ReferenceClaim {
  readonly owner: string;
  readonly fence: number;
  readonly expiresAt: number;
}

/** What a commit changes, copied before and put in place after it. */
export interface ReferenceState {
  readonly records: Map<string, StoredRecord>;
  readonly histories: Map<string, readonly RevisionEntry[]>;
  readonly claims: Map<string, ReferenceClaim>;
  readonly events: StoredEvent[];
}

/** Refuses by label: those that are left out pass. */
export interface Refusing {
  readonly omitted: { has(label: string): boolean };
  refuse(label: string, code: ErrorCode, message: string): void;
}

/** A store's content, shared by its handles, and its clock. */
export class ReferenceWorld {
  state: ReferenceState = {
    records: new Map(),
    histories: new Map(),
    claims: new Map(),
    events: [],
  };
  /** Events that are there no more; their places stay. */
  readonly removed: Set<string> = new Set();
  readonly fences: Map<string, number> = new Map();
  readonly cursors: { readonly query: string; readonly last: StoredRecord }[] = [];
  readonly waiters: Set<() => void> = new Set();
  time = 1_700_000_000_000;
  /** Refusals that are left out, by label: a means of the deliberately broken stores, like the next. */
  readonly omitted: Set<string> = new Set();
  evaluate: typeof evaluatePredicate = evaluatePredicate;
  compare: typeof compareRecords = compareRecords;

  /** The summaries of a record's metrics; a world with series has some. */
  metricsOf(_workspace: string, _owner: string): Readonly<Record<string, Figures>> {
    return {};
  }

  /** A record with its projected facets. */
  projected(
    kind: KindDeclaration,
    record: StoredRecord,
  ): StoredRecord & Pick<Evaluable, 'figures'> {
    const names = Object.entries(kind.facets ?? {}).filter(
      ([, { source }]) => source === 'projected',
    );
    if (names.length === 0) return record;
    const figures = this.metricsOf(record.workspace, record.id);
    const last = Object.entries(figures).map(([key, { last: value }]) => [key, value]);
    const facets = names.map(([name]) => [name, Object.fromEntries(last)]);
    return {
      ...record,
      facets: { ...record.facets, ...Object.fromEntries(facets) },
      figures: Object.fromEntries(names.map(([name]) => [name, figures])),
    };
  }

  /** What is refused of restored records, apart from what is refused of new ones. */
  get ofRestored(): Refusing {
    const label = (name: string): string => `restored ${name}`;
    return {
      omitted: { has: (name) => this.omitted.has(label(name)) },
      refuse: (name, code, message) => this.refuse(label(name), code, message),
    };
  }

  /** Throws, unless this refusal is left out. */
  refuse(
    label: string,
    code: ErrorCode,
    message: string,
    details: Record<string, unknown> = {},
  ): void {
    if (!this.omitted.has(label)) throw new KeelsonError(code, message, { details });
  }
}

/** The key of a record among all records. */
export function keyOf(workspace: string, kind: string, id: string): string {
  return JSON.stringify([workspace, kind, id]);
}

/** Names a record in a message. */
export function nameOf(kind: string, id: string): string {
  return `the ${kind} ${id}`;
}

/** Columns as they are stored: checked against the declaration, missing ones left out. */
export function storeColumns(
  world: Refusing,
  kind: KindDeclaration,
  columns: Columns,
  complete: boolean,
): Columns {
  const out: [string, ColumnValue][] = [];
  for (const [name, value] of Object.entries(columns)) {
    const declaration = Object.hasOwn(kind.columns, name) ? kind.columns[name] : undefined;
    if (declaration === undefined) {
      world.refuse('column', 'INVALID', `The kind ${kind.name} has no column ${name}.`);
      continue;
    }
    if (value === undefined) {
      if (declaration.optional !== true) {
        world.refuse(
          'required',
          'INVALID',
          `The column ${name} of ${kind.name} may not be missing.`,
        );
      }
    } else {
      checkValue(world, `The column ${name} of ${kind.name}`, declaration.type, value);
    }
    out.push([name, value]);
  }
  if (complete) {
    for (const [name, { optional }] of Object.entries(kind.columns)) {
      if (optional === true || columns[name] !== undefined) continue;
      world.refuse('required', 'INVALID', `The column ${name} of ${kind.name} may not be missing.`);
    }
  }
  return Object.fromEntries(out);
}

function checkValue(world: Refusing, label: string, type: string, value: unknown): void {
  const expected =
    type === 'integer' || type === 'real' ? 'number' : type === 'text' ? 'string' : type;
  if (typeof value !== expected) {
    world.refuse('type', 'INVALID', `${label} must be ${type}, not ${typeof value}.`);
  } else if (type === 'integer' && !Number.isSafeInteger(value)) {
    world.refuse('integer', 'INVALID', `${label} must be a safe integer, not ${String(value)}.`);
  } else if (type === 'text') {
    checkText(world, 'column text', value, label);
  }
}

/** Refuses text that no store can keep, unless that is left out for this kind of text. */
export function checkText(world: Refusing, place: string, value: unknown, label: string): void {
  try {
    assertText(value, label);
  } catch (error) {
    if (!world.omitted.has(place)) throw error;
  }
}

/** A facet as it is stored. */
export function storeFacet(
  world: Refusing,
  kind: KindDeclaration,
  facet: string,
  map: FacetMap,
): FacetMap {
  checkFacet(world, kind, facet);
  if (kind.facets?.[facet]?.source === 'projected') {
    world.refuse('projected', 'INVALID', `The facet ${facet} of ${kind.name} is read-only.`);
  }
  const out: [string, FacetMap[string]][] = [];
  for (const [key, value] of Object.entries(map)) {
    checkText(world, 'facet text', key, `A key of ${facet}`);
    out.push([key, storeJson(world, 'facet text', value, `${facet}.${key}`)]);
  }
  return Object.fromEntries(out);
}

function storeJson(
  world: Refusing,
  place: string,
  value: unknown,
  label: string,
): FacetMap[string] {
  try {
    return asJson(value, label);
  } catch (error) {
    const isText = error instanceof Error && /U\+0000|surrogate/.test(error.message);
    if (isText && world.omitted.has(place)) return structuredClone(value) as FacetMap[string];
    if (!isText && world.omitted.has('no JSON')) return null;
    throw error;
  }
}

/** A body as it is stored. */
export function storeBody(world: Refusing, body: JsonObject): JsonObject {
  return storeJson(world, 'body text', body, 'body') as JsonObject;
}

/** Refuses a facet that the kind does not declare. */
export function checkFacet(world: Refusing, kind: KindDeclaration, facet: string): void {
  if (kind.facets !== undefined && Object.hasOwn(kind.facets, facet)) return;
  world.refuse('facet', 'INVALID', `The kind ${kind.name} has no facet ${facet}.`);
}

/** Whether two JSON values are equal. */
export function sameJson(a: unknown, b: unknown): boolean {
  return canonicalJson(a) === canonicalJson(b);
}
