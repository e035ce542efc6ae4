import { Ajv, type ValidateFunction } from 'ajv';
import { KeelsonError } from './errors.ts';
import { digestJson, type JsonObject } from './json.ts';

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
  // Its check would answer a promise, and so let everything pass.
  if (schema['$async'] !== undefined) {
    throw new KeelsonError('INVALID', `${what} must not have "$async".`);
  }
  const key = digestJson(schema);
  let validate = compiled.get(key);
  if (validate === undefined) {
    try {
      validate = new Ajv({ useDefaults: true, allErrors: true, strict: true }).compile(
        structuredClone(schema),
      );
    } catch (cause) {
      throw new KeelsonError(
        'INVALID',
        `${what} is no valid JSON Schema: ${(cause as Error).message}`,
        { cause },
      );
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
  if (schema['$async'] !== undefined) {
    throw new KeelsonError('INVALID', `${what} must not have "$async".`);
  }
  try {
    return new Ajv({ allErrors: all, verbose: true, strict: true, allowUnionTypes: true }).compile(
      structuredClone(schema),
    );
  } catch (cause) {
    const why = `${what} is no valid JSON Schema: ${(cause as Error).message}`;
    throw new KeelsonError('INVALID', why, { cause });
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
