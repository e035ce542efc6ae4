import { Ajv, type ValidateFunction } from 'ajv';
import { KeelsonError } from './errors.ts';
import { digestJson, type JsonObject } from './json.ts';
import { compileLinearPattern } from './linear-pattern.ts';

/** Patterns come from users: none may keep a thread busy, whatever it is tried on. */
const code = { regExp: Object.assign(compileLinearPattern, { code: 'compileLinearPattern' }) };

const compiled = new Map<string, ValidateFunction>();

/**
 * The check that a JSON Schema of a user's stands for; it fills in defaults. INVALID, naming `what`, for what is
 * no schema of an object.
 */
export function compileSchema(schema: JsonObject, what: string): ValidateFunction {
  if (schema['type'] !== 'object') {
    throw new KeelsonError('INVALID', `${what} must be a JSON Schema with type "object".`);
  }
  return compileValueSchema(schema, what);
}

/** The same for a schema of any value. */
function compileValueSchema(schema: JsonObject, what: string): ValidateFunction {
  assertNotAsync(schema, what);
  const key = digestJson(schema);
  let validate = compiled.get(key);
  if (validate === undefined) {
    try {
      const ajv = new Ajv({ useDefaults: true, allErrors: true, strict: true, code });
      validate = ajv.compile(structuredClone(schema));
    } catch (cause) {
      throw noSchema(what, cause);
    }
    // Schemas are few; the bound only keeps a process that makes them up from growing without end.
    if (compiled.size >= 1000) compiled.clear();
    compiled.set(key, validate);
  }
  return validate;
}

/**
 * The check of a row that a JSON Schema stands for; it changes nothing. With `all` it finds each fault of a row,
 * without it the first. INVALID, naming `what`, for what is no schema.
 */
export function compileRowSchema(schema: JsonObject, what: string, all: boolean): ValidateFunction {
  assertNotAsync(schema, what);
  try {
    const strictly = { strict: true, allowUnionTypes: true } as const;
    const ajv = new Ajv({ allErrors: all, verbose: true, ...strictly, code });
    return ajv.compile(structuredClone(schema));
  } catch (cause) {
    throw noSchema(what, cause);
  }
}

/** Its check would answer a promise, and so let everything pass. */
function assertNotAsync(schema: JsonObject, what: string): void {
  if (schema['$async'] === undefined) return;
  throw new KeelsonError('INVALID', `${what} must not have "$async".`);
}

function noSchema(what: string, cause: unknown): KeelsonError {
  const { message } = cause as Error;
  return new KeelsonError('INVALID', `${what} is no valid JSON Schema: ${message}`, { cause });
}

let checker: Ajv | undefined;

/**
 * INVALID, naming `what`, for what is no schema or has a pattern that is not taken. It costs a fraction of
 * compiling, which may find more: that is for whoever checks values.
 */
export function assertSchema(schema: JsonObject, what: string): void {
  assertNotAsync(schema, what);
  checker ??= new Ajv({ strict: true, code });
  let faults: string | undefined;
  try {
    faults = checker.validateSchema(structuredClone(schema)) ? undefined : checker.errorsText();
    assertPatterns(schema);
  } catch (cause) {
    throw noSchema(what, cause);
  }
  if (faults !== undefined) throw noSchema(what, new Error(faults));
}

/** What a schema has by names of its own. */
const namedParts = new Set([
  ...['properties', 'patternProperties', 'definitions', '$defs'],
  ...['dependencies', 'dependentSchemas'],
]);
/** What is no schema, whatever it looks like. */
const values = new Set(['const', 'enum', 'default', 'examples']);

function assertPatterns(schema: unknown): void {
  if (typeof schema !== 'object' || schema === null) return;
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === 'pattern' && typeof value === 'string') compileLinearPattern(value);
    const isMap = namedParts.has(keyword) && typeof value === 'object' && value !== null;
    if (keyword === 'patternProperties') Object.keys(value ?? {}).forEach(compileLinearPattern);
    if (!values.has(keyword)) assertPatterns(isMap ? Object.values(value) : value);
  }
}

/** INVALID, saying where, for a value that does not fit the schema; it fills in defaults. */
export function assertFits(schema: JsonObject, value: unknown, what: string): void {
  const faults = schemaFaults(compileValueSchema(schema, `The schema of ${what}`), value, 'value');
  if (faults.length === 0) return;
  throw new KeelsonError(
    'INVALID',
    `${what} does not fit its schema: ${faults.slice(0, 10).join('; ')}.`,
    { details: { faults: faults.slice(0, 100) } },
  );
}

/** What does not fit, each with its place below `root`; empty when all of it fits. */
export function schemaFaults(
  validate: ValidateFunction,
  value: unknown,
  root: string,
): readonly string[] {
  if (validate(value)) return [];
  return (validate.errors ?? []).map((error) => {
    const extra = error.params['additionalProperty'] as string | undefined;
    const at = `${root}${error.instancePath.replaceAll('/', '.')}`;
    return `${at} ${error.message}${extra === undefined ? '' : ` ("${extra}")`}`;
  });
}
