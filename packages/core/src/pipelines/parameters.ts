import { KeelsonError } from '../errors.ts';
import { asJson, type JsonObject } from '../json.ts';
import { compileSchema, schemaFaults } from '../json-schema.ts';
import { undeclaredParameter } from './declared-parameters.ts';
import type { PipelineDefinition } from './definition.ts';
import { parameterCollisions } from './variable-faults.ts';

/** Of their JSON: what starts an execution is told by an event, whose payload is bounded. */
const maxBytes = 900_000;

/** The part of a definition that parameters are checked by. */
type Parametrised = Pick<PipelineDefinition, 'name' | 'version' | 'parameters' | 'steps'>;

/** INVALID, saying where, for a parameter schema that is no JSON Schema of an object, or whose defaults do not fit it. */
export function assertParametersSchema({ name, parameters }: Parametrised): void {
  if (parameters === undefined) return;
  const validate = compileSchema(parameters, `Pipeline ${name}: parameters`);
  // Of nothing given, the defaults alone can be wrong in what they are; that others are missing says nothing.
  const faults = schemaFaults(validate, {}, 'parameters').filter((fault) =>
    /^parameters[.[]/.test(fault),
  );
  if (faults.length === 0) return;
  throw new KeelsonError(
    'INVALID',
    `Pipeline ${name}: a default does not fit its own schema: ${faults.join('; ')}.`,
    { details: { faults } },
  );
}

/**
 * The parameters with defaults filled in. INVALID, naming each one that does not fit the schema, or that it does not
 * declare while others are not allowed, or that tasks would get by the variable of another one; without a schema
 * anything goes.
 */
export function resolveParameters(definition: Parametrised, given: JsonObject): JsonObject {
  const parameters = asJson(given, 'parameters');
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters)) {
    throw new KeelsonError(
      'INVALID',
      `Parameters of pipeline ${definition.name} must be an object of named values.`,
    );
  }
  const named = parameters as JsonObject;
  const faults = [
    ...schemaMisfits(definition, named),
    ...parameterCollisions(definition, Object.keys(named)),
  ];
  if (faults.length === 0) return assertSize(definition, named);
  throw new KeelsonError(
    'INVALID',
    `Parameters do not fit pipeline ${definition.name}@${definition.version}: ${faults.join('; ')}.`,
    { details: { faults } },
  );
}

function schemaMisfits(
  { name, parameters: schema }: Parametrised,
  given: JsonObject,
): readonly string[] {
  if (schema === undefined) return [];
  const undeclared = Object.keys(given).flatMap((key) => undeclaredParameter(schema, key) ?? []);
  const validate = compileSchema(schema, `Pipeline ${name}: parameters`);
  const faults = schemaFaults(validate, given, 'parameters');
  if (undeclared.length === 0) return faults;
  // Of names it is said better here.
  const others = faults.filter((fault) => !/^parameters must NOT have additional/.test(fault));
  return [...undeclared, ...others];
}

function assertSize({ name }: Parametrised, parameters: JsonObject): JsonObject {
  const bytes = Buffer.byteLength(JSON.stringify(parameters));
  if (bytes <= maxBytes) return parameters;
  throw new KeelsonError(
    'INVALID',
    `Parameters of pipeline ${name} are ${bytes} bytes of JSON, and at most ${maxBytes} are taken; let a step read what is large, and put it out as an artifact.`,
    { details: { bytes, maxBytes } },
  );
}
