import type { JsonObject } from '../json.ts';
import { nearestName } from '../language/nearest-name.ts';
import { compileLinearPattern, type LinearPattern } from '../linear-pattern.ts';

/**
 * Why a name is no parameter of a pipeline with this schema, with the one that was probably meant; undefined for one
 * that is declared, or where others are allowed: by `additionalProperties` (`true` or a schema), by a pattern of
 * `patternProperties` that the name matches, by `propertyNames`, by a schema that names no properties at all, or
 * that refers to one elsewhere.
 */
export function undeclaredParameter(
  schema: JsonObject | undefined,
  name: string,
): string | undefined {
  const declared = declaredIn(schema);
  if (declared === undefined || declared.names.has(name)) return undefined;
  if (declared.patterns.some((pattern) => pattern.test(name))) return undefined;
  const near = nearestName(name, declared.names);
  const meant = near === undefined ? '' : ` (did you mean ${near}?)`;
  return `there is no parameter ${name}${meant}; there are ${someOf([...declared.names])}`;
}

/** The same for all the names of `given`, each as a fault of `parameters`. */
export function undeclaredFaults(
  schema: JsonObject | undefined,
  given: Readonly<Record<string, unknown>> = {},
): readonly string[] {
  return Object.keys(given).flatMap((name) => {
    const why = undeclaredParameter(schema, name);
    return why === undefined ? [] : [`parameters: ${why}`];
  });
}

/** A list of names for a message. */
export function someOf(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  const more = names.length > 20 ? ` and ${names.length - 20} more` : '';
  return `${names.slice(0, 20).join(', ')}${more}`;
}

interface Declared {
  readonly names: ReadonlySet<string>;
  readonly patterns: readonly LinearPattern[];
}

const read = new WeakMap<JsonObject, { readonly declared: Declared | undefined }>();

/** What a schema says of names; undefined where it leaves them open. */
function declaredIn(schema: JsonObject | undefined): Declared | undefined {
  if (schema === undefined) return undefined;
  let known = read.get(schema);
  if (known === undefined) {
    known = { declared: readNames(schema) };
    read.set(schema, known);
  }
  return known.declared;
}

/** Schemas that speak of the same object. */
const applicators = ['allOf', 'anyOf', 'oneOf', 'if', 'then', 'else', 'not'];
const byProperty = ['dependencies', 'dependentSchemas'];

function readNames(root: JsonObject): Declared | undefined {
  const names = new Set<string>();
  const patterns: LinearPattern[] = [];
  const open: JsonObject[] = [root];
  const seen = new Set<JsonObject>();
  let says = false;
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    if ((at['additionalProperties'] ?? false) !== false || at['propertyNames'] !== undefined) {
      return undefined;
    }
    for (const pattern of keysOf(at['patternProperties']))
      patterns.push(compileLinearPattern(pattern));
    says ||= isObject(at['properties']) || at['patternProperties'] !== undefined;
    says ||= at['additionalProperties'] === false;
    for (const name of keysOf(at['properties'])) names.add(name);
    for (const name of textsOf(at['required'])) names.add(name);
    const parts = applicators.flatMap((keyword) => at?.[keyword] ?? []);
    const perName = byProperty.flatMap((keyword) => {
      for (const name of keysOf(at?.[keyword])) names.add(name);
      return isObject(at?.[keyword]) ? Object.values(at[keyword]) : [];
    });
    for (const part of [...parts, ...perName]) if (isObject(part)) open.push(part);
    if (at['$ref'] !== undefined) {
      const target = referred(root, at['$ref']);
      if (target === undefined) return undefined;
      open.push(target);
    }
  }
  return says ? { names, patterns } : undefined;
}

/** Within the schema itself; undefined for what is elsewhere. */
function referred(root: JsonObject, reference: unknown): JsonObject | undefined {
  if (typeof reference !== 'string' || !/^#(\/|$)/.test(reference)) return undefined;
  let at: unknown = root;
  for (const part of reference.slice(1).split('/').slice(1)) {
    const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Readonly<Record<string, unknown>>)[key];
  }
  return isObject(at) ? at : undefined;
}

function keysOf(value: unknown): readonly string[] {
  return isObject(value) ? Object.keys(value) : [];
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
