import { canonicalJson, type Json, type JsonObject } from '../json.ts';

type Schema = boolean | JsonObject;

/**
 * Whether every value that fits the JSON Schema `narrow` is shown to fit `wide`. Sound and not complete: what cannot be
 * shown is false. Shown are types, bounds, lengths, enumerations, objects, lists, alternatives and references within
 * a schema; of other keywords, that both schemas say the same.
 */
export function schemaContains(wide: JsonObject, narrow: JsonObject): boolean {
  if (sameText(wide, narrow)) return true;
  return new Containment(wide, narrow).holds(wide, narrow, 0);
}

/** Say nothing of which values fit. */
const annotations: ReadonlySet<string> = new Set([
  'title',
  'description',
  'default',
  'examples',
  '$comment',
  '$schema',
  'deprecated',
  'readOnly',
  'writeOnly',
  '$defs',
  'definitions',
]);

/** Where a schema says more than its own text does, or keywords hang together in ways that are not followed. */
const unfollowed: readonly string[] = [
  '$id',
  'id',
  '$anchor',
  '$dynamicRef',
  '$dynamicAnchor',
  '$recursiveRef',
  '$recursiveAnchor',
  'unevaluatedProperties',
  'unevaluatedItems',
  // Of OpenAPI, and of ajv.
  'nullable',
];

/** Keywords that only mean something together. */
const groups: readonly (readonly string[])[] = [
  ['if', 'then', 'else'],
  ['contains', 'minContains', 'maxContains'],
];

/** What keywords are about; of other values they say nothing. */
const subjects: Readonly<Record<string, string>> = {
  minimum: 'number',
  maximum: 'number',
  exclusiveMinimum: 'number',
  exclusiveMaximum: 'number',
  multipleOf: 'number',
  minLength: 'string',
  maxLength: 'string',
  pattern: 'string',
  format: 'string',
  minItems: 'array',
  maxItems: 'array',
  items: 'array',
  uniqueItems: 'array',
  minProperties: 'object',
  maxProperties: 'object',
  required: 'object',
  properties: 'object',
  additionalProperties: 'object',
  patternProperties: 'object',
  propertyNames: 'object',
};

const allTypes: readonly string[] = ['null', 'boolean', 'number', 'string', 'array', 'object'];
const maxDepth = 64;
const maxSteps = 20_000;

class Containment {
  readonly #wideRoot: JsonObject;
  readonly #narrowRoot: JsonObject;
  /** Whether equal references mean equal schemas. */
  readonly #sameDefinitions: boolean;
  #steps = 0;

  constructor(wide: JsonObject, narrow: JsonObject) {
    this.#wideRoot = wide;
    this.#narrowRoot = narrow;
    this.#sameDefinitions = ['$defs', 'definitions'].every(
      (key) =>
        sameText(wide[key] ?? null, narrow[key] ?? null) && refersToDefinitions(wide[key] ?? null),
    );
  }

  holds(wide: Schema, narrow: Schema, depth: number): boolean {
    this.#steps += 1;
    if (depth > maxDepth || this.#steps > maxSteps) return false;
    if (narrow === false || wide === true) return true;
    if (wide === false) return false;
    if (narrow === true) return this.#holds(wide, {}, depth);
    return this.#holds(wide, narrow, depth);
  }

  #holds(wide: JsonObject, narrow: JsonObject, depth: number): boolean {
    if (Object.keys(wide).every((key) => annotations.has(key))) return true;
    if (this.#equal(wide, narrow)) return true;
    if (unfollowed.some((key) => key in wide || key in narrow)) {
      // At the root, an $id only names the schema.
      if (depth > 0) return false;
      const { $id: _, ...rest } = wide;
      const { $id: __, ...other } = narrow;
      if (unfollowed.some((key) => key in rest || key in other)) return false;
      return this.holds(rest, other, depth + 1);
    }
    const { $ref } = narrow;
    if ($ref !== undefined) {
      const target = resolve(this.#narrowRoot, $ref);
      return target !== undefined && this.holds(wide, target, depth + 1);
    }
    return this.#everyKeyword(wide, narrow, depth) || this.#partOf(wide, narrow, depth);
  }

  /** By a part of `narrow` that says enough: all of its alternatives, one of what it demands together, each of its values. */
  #partOf(wide: JsonObject, narrow: JsonObject, depth: number): boolean {
    for (const key of ['anyOf', 'oneOf']) {
      const branches = schemasOf(narrow[key]);
      if (branches?.every((branch) => this.holds(wide, branch, depth + 1))) return true;
    }
    if (schemasOf(narrow['allOf'])?.some((each) => this.holds(wide, each, depth + 1))) return true;
    const values = valuesOf(narrow)?.map(only);
    if (values === undefined || values.some((each) => sameText(each, narrow))) return false;
    return values.every((each) => this.holds(wide, each, depth + 1));
  }

  #everyKeyword(wide: JsonObject, narrow: JsonObject, depth: number): boolean {
    const types = typesOf(narrow);
    return Object.keys(wide).every((key) => {
      if (annotations.has(key)) return true;
      const subject = subjects[key];
      if (subject !== undefined && !types.includes(subject)) {
        // Integers are numbers.
        if (subject !== 'number' || !types.includes('integer')) return true;
      }
      return this.#keyword(key, wide, narrow, depth);
    });
  }

  #keyword(key: string, wide: JsonObject, narrow: JsonObject, depth: number): boolean {
    const value = wide[key] as Json;
    switch (key) {
      case 'type':
        return typesOf(narrow).every((type) => allows([value].flat() as readonly Json[], type));
      case 'enum':
      case 'const': {
        const values = valuesOf(narrow);
        const allowed = valuesOf({ [key]: value }) ?? [];
        return values?.every((each) => allowed.some((other) => sameText(each, other))) ?? false;
      }
      case '$ref': {
        const target = resolve(this.#wideRoot, value);
        return target !== undefined && this.holds(target, narrow, depth + 1);
      }
      case 'allOf':
        return schemasOf(value)?.every((each) => this.holds(each, narrow, depth + 1)) ?? false;
      case 'anyOf':
        return schemasOf(value)?.some((each) => this.holds(each, narrow, depth + 1)) ?? false;
      case 'properties':
      case 'patternProperties':
      case 'additionalProperties':
        return this.#properties(key, wide, narrow, depth);
      case 'items':
      case 'prefixItems':
      case 'additionalItems':
        return this.#items(wide, narrow, depth);
      default:
        return boundHolds(key, value, narrow) || this.#saysTheSame(key, wide, narrow);
    }
  }

  #properties(key: string, wide: JsonObject, narrow: JsonObject, depth: number): boolean {
    const own = objectOf(narrow['properties']);
    const patterns = objectOf(narrow['patternProperties']);
    const rest = (narrow['additionalProperties'] ?? true) as Schema;
    // A name that no property has may be a pattern's, of which any may be it.
    const schemaFor = (name: string): Schema =>
      Object.hasOwn(own, name)
        ? (own[name] as Schema)
        : Object.keys(patterns).length > 0
          ? true
          : rest;
    if (key === 'properties') {
      return Object.entries(objectOf(wide['properties'])).every(([name, schema]) =>
        this.holds(schema as Schema, schemaFor(name), depth + 1),
      );
    }
    if (key === 'patternProperties') {
      return Object.entries(objectOf(wide['patternProperties'])).every(
        ([pattern, schema]) =>
          Object.hasOwn(patterns, pattern) &&
          this.holds(schema as Schema, patterns[pattern] as Schema, depth + 1),
      );
    }
    const known = objectOf(wide['properties']);
    const others = Object.keys(own).filter((name) => !Object.hasOwn(known, name));
    return [...others.map((name) => own[name]), ...Object.values(patterns), rest].every((schema) =>
      this.holds(wide['additionalProperties'] as Schema, schema as Schema, depth + 1),
    );
  }

  #items(wide: JsonObject, narrow: JsonObject, depth: number): boolean {
    if (narrow['maxItems'] === 0) return true;
    const tuple = [wide, narrow].some(
      (schema) =>
        'prefixItems' in schema || 'additionalItems' in schema || Array.isArray(schema['items']),
    );
    if (tuple)
      return ['prefixItems', 'items', 'additionalItems'].every((key) =>
        this.#equal(wide[key] ?? null, narrow[key] ?? null),
      );
    return this.holds(wide['items'] as Schema, (narrow['items'] ?? true) as Schema, depth + 1);
  }

  /** For keywords of which nothing else is known. */
  #saysTheSame(key: string, wide: JsonObject, narrow: JsonObject): boolean {
    const together = groups.find((group) => group.includes(key)) ?? [key];
    return together.every(
      (each) =>
        each in wide === each in narrow && this.#equal(wide[each] ?? null, narrow[each] ?? null),
    );
  }

  #equal(a: Json, b: Json): boolean {
    if (!sameText(a, b)) return false;
    if (/"\$(dynamic|recursive)Ref":/.test(canonicalJson(a))) return false;
    return (
      !canonicalJson(a).includes('"$ref":') || (this.#sameDefinitions && refersToDefinitions(a))
    );
  }
}

/** Whether all references of a schema are to definitions, which both roots may have alike. */
function refersToDefinitions(schema: Json): boolean {
  return !/"\$ref":(?!"#\/(\$defs|definitions)\/)/.test(canonicalJson(schema));
}

/** Whether a bound of `narrow` is as tight as this one. */
function boundHolds(key: string, value: Json, narrow: JsonObject): boolean {
  const number = (name: string): number | undefined =>
    typeof narrow[name] === 'number' ? narrow[name] : undefined;
  if (key === 'required') {
    const given = [narrow['required'] ?? []].flat();
    return Array.isArray(value) && value.every((name) => given.includes(name));
  }
  if (typeof value !== 'number') return false;
  const below = Math.max(number('minimum') ?? -Infinity, number('exclusiveMinimum') ?? -Infinity);
  const above = Math.min(number('maximum') ?? Infinity, number('exclusiveMaximum') ?? Infinity);
  switch (key) {
    case 'minimum':
      return below >= value;
    case 'maximum':
      return above <= value;
    case 'exclusiveMinimum':
      return (
        (number('minimum') ?? -Infinity) > value ||
        (number('exclusiveMinimum') ?? -Infinity) >= value
      );
    case 'exclusiveMaximum':
      return (
        (number('maximum') ?? Infinity) < value || (number('exclusiveMaximum') ?? Infinity) <= value
      );
    case 'multipleOf': {
      const step = number('multipleOf') ?? (isInteger(narrow) ? 1 : undefined);
      return (
        step !== undefined &&
        Number.isInteger(step) &&
        Number.isInteger(value) &&
        step % value === 0
      );
    }
    case 'minLength':
    case 'minItems':
    case 'minProperties':
      return value <= 0 || (number(key) ?? 0) >= value;
    case 'maxLength':
    case 'maxItems':
    case 'maxProperties':
      return (number(key) ?? Infinity) <= value;
    default:
      return false;
  }
}

function isInteger(schema: JsonObject): boolean {
  return typesOf(schema).every((type) => type !== 'number');
}

function allows(types: readonly Json[], type: string): boolean {
  return types.includes(type) || (type === 'integer' && types.includes('number'));
}

/** The types that values of a schema may have. */
function typesOf(schema: JsonObject): readonly string[] {
  const values = valuesOf(schema);
  const byValue = values?.map((value) => only(value)['type'] as string);
  const declared = schema['type'];
  if (declared === undefined) return byValue ?? allTypes;
  const types = [declared].flat() as readonly string[];
  return byValue === undefined ? types : byValue.filter((type) => allows(types, type));
}

function valuesOf(schema: JsonObject): readonly Json[] | undefined {
  if ('const' in schema) return [schema['const'] as Json];
  return Array.isArray(schema['enum']) ? (schema['enum'] as readonly Json[]) : undefined;
}

/** The schema of one value, with what is known of it. */
function only(value: Json): JsonObject {
  if (value === null) return { type: 'null', const: null };
  if (Array.isArray(value))
    return { type: 'array', const: value, minItems: value.length, maxItems: value.length };
  if (typeof value === 'number')
    return {
      type: Number.isInteger(value) ? 'integer' : 'number',
      const: value,
      minimum: value,
      maximum: value,
    };
  if (typeof value === 'string') {
    const length = [...value].length;
    return { type: 'string', const: value, minLength: length, maxLength: length };
  }
  return { type: typeof value, const: value };
}

function resolve(root: JsonObject, ref: Json): Schema | undefined {
  const parts = typeof ref === 'string' ? /^#\/(\$defs|definitions)\/([^/%~]+)$/.exec(ref) : null;
  if (parts === null) return undefined;
  const found = objectOf(root[parts[1] as string])[parts[2] as string];
  return typeof found === 'boolean' || isObject(found) ? found : undefined;
}

function schemasOf(value: Json | undefined): readonly Schema[] | undefined {
  return Array.isArray(value) && value.length > 0 ? (value as readonly Schema[]) : undefined;
}

function objectOf(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sameText(a: Json, b: Json): boolean {
  return canonicalJson(a) === canonicalJson(b);
}
