import { Ajv, type ValidateFunction } from 'ajv';
import { KeelsonError } from '../errors.ts';
import { asJson, digestJson, type JsonObject } from '../json.ts';
import type { PipelineDefinition } from './definition.ts';

/** The part of a definition that parameters are checked by. */
type Parametrised = Pick<PipelineDefinition, 'name' | 'version' | 'parameters'>;

const compiled = new Map<string, ValidateFunction>();

/** INVALID, saying where, for a parameter schema that is no JSON Schema of an object. */
export function assertParametersSchema(definition: Parametrised): void {
  if (definition.parameters === undefined) return;
  if (definition.parameters['type'] !== 'object') {
    throw new KeelsonError(
      'INVALID',
      `Pipeline ${definition.name}: parameters must be a JSON Schema with type "object".`,
    );
  }
  compile(definition, definition.parameters);
}

/** The parameters with defaults filled in. INVALID, naming each one that does not fit the schema. */
export function resolveParameters(definition: Parametrised, given: JsonObject): JsonObject {
  const parameters = asJson(given, 'parameters');
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters)) {
    throw new KeelsonError(
      'INVALID',
      `Parameters of pipeline ${definition.name} must be an object of named values.`,
    );
  }
  if (definition.parameters === undefined) return parameters as JsonObject;
  const validate = compile(definition, definition.parameters);
  if (validate(parameters)) return parameters as JsonObject;
  const faults = (validate.errors ?? []).map((error) => {
    const extra = error.params['additionalProperty'] as string | undefined;
    const at = `parameters${error.instancePath.replaceAll('/', '.')}`;
    return `${at} ${error.message}${extra === undefined ? '' : ` ("${extra}")`}`;
  });
  throw new KeelsonError(
    'INVALID',
    `Parameters do not fit pipeline ${definition.name}@${definition.version}: ${faults.join('; ')}.`,
    { details: { faults } },
  );
}

function compile(definition: Parametrised, schema: JsonObject): ValidateFunction {
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
        `Pipeline ${definition.name}: parameters is no valid JSON Schema: ${(cause as Error).message}`,
        { cause },
      );
    }
    // Schemas are few; the bound only keeps a process that makes them up from growing without end.
    if (compiled.size >= 1000) compiled.clear();
    compiled.set(key, validate);
  }
  return validate;
}
