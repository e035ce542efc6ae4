import { canonicalJson, type Json, type JsonObject } from '../json.ts';

/**
 * Why some value that fits the schema `given` does not fit `asked`; undefined where that cannot be told. Sound, not
 * complete: types, enum, const, required and properties, items, and bounds are compared; whatever else a
 * schema says is taken to fit.
 */
export function schemaMisfit(
  given: JsonObject,
  asked: JsonObject,
  at = 'value',
): string | undefined {
  const had = typesOf(given);
  const wanted = typesOf(asked);
  if (had !== undefined && wanted !== undefined && !had.some((type) => accepts(wanted, type))) {
    return `${at} is ${had.join(' or ')}, and ${wanted.join(' or ')} is asked for`;
  }
  const values = valuesOf(given);
  const allowed = valuesOf(asked);
  if (values !== undefined && allowed !== undefined) {
    const texts = new Set(allowed.map((value) => canonicalJson(value)));
    if (!values.some((value) => texts.has(canonicalJson(value)))) {
      return `${at} is one of ${values.map((v) => canonicalJson(v)).join(', ')}, and none of them is allowed`;
    }
  }
  return (
    boundMisfit(given, asked, at) ??
    propertyMisfit(given, asked, at) ??
    itemMisfit(given, asked, at)
  );
}

function boundMisfit(given: JsonObject, asked: JsonObject, at: string): string | undefined {
  const [low, high] = [given['minimum'], given['maximum']];
  const [least, most] = [asked['minimum'], asked['maximum']];
  if (typeof high === 'number' && typeof least === 'number' && high < least) {
    return `${at} is at most ${high}, and at least ${least} is asked for`;
  }
  if (typeof low === 'number' && typeof most === 'number' && low > most) {
    return `${at} is at least ${low}, and at most ${most} is asked for`;
  }
  return undefined;
}

function propertyMisfit(given: JsonObject, asked: JsonObject, at: string): string | undefined {
  const had = given['properties'] as Readonly<Record<string, JsonObject>> | undefined;
  const wanted = asked['properties'] as Readonly<Record<string, JsonObject>> | undefined;
  const required = (asked['required'] ?? []) as readonly string[];
  if (had !== undefined && given['additionalProperties'] === false) {
    const missing = required.find((name) => !Object.hasOwn(had, name));
    if (missing !== undefined) return `${at} never has ${missing}, which is asked for`;
  }
  for (const [name, schema] of Object.entries(wanted ?? {})) {
    const own = had !== undefined && Object.hasOwn(had, name) ? had[name] : undefined;
    const why =
      isObject(own) && isObject(schema) ? schemaMisfit(own, schema, `${at}.${name}`) : undefined;
    if (why !== undefined && required.includes(name)) return why;
  }
  return undefined;
}

function itemMisfit(given: JsonObject, asked: JsonObject, at: string): string | undefined {
  const [had, wanted] = [given['items'], asked['items']];
  // An empty list fits whatever its items are.
  const some = typeof given['minItems'] === 'number' && given['minItems'] > 0;
  return some && isObject(had) && isObject(wanted)
    ? schemaMisfit(had, wanted, `${at}[]`)
    : undefined;
}

function typesOf({ type }: JsonObject): readonly string[] | undefined {
  if (typeof type === 'string') return [type];
  return Array.isArray(type) ? (type as readonly string[]) : undefined;
}

function accepts(wanted: readonly string[], type: string): boolean {
  if (wanted.includes(type)) return true;
  // A number may be whole.
  return (
    (type === 'integer' && wanted.includes('number')) ||
    (type === 'number' && wanted.includes('integer'))
  );
}

function valuesOf(schema: JsonObject): readonly Json[] | undefined {
  if (schema['const'] !== undefined) return [schema['const']];
  return Array.isArray(schema['enum']) ? (schema['enum'] as readonly Json[]) : undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
