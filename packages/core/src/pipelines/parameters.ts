import { KeelsonError } from '../errors.ts';
import { asJson, type JsonObject } from '../json.ts';
import { compileSchema, schemaFaults } from '../json-schema.ts';
import type { PipelineDefinition } from './definition.ts';

/** Of their JSON: what starts an execution is told by an event, whose payload is bounded. */
const maxBytes = 900_000;

/** The part of a definition that parameters are checked by. */
type Parametrised = Pick<PipelineDefinition, 'name' | 'version' | 'parameters'>;

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

/** The parameters with defaults filled in. INVALID, naming each one that does not fit the schema. */
export function resolveParameters(definition: Parametrised, given: JsonObject): JsonObject {
  const parameters = asJson(given, 'parameters');
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters)) {
    throw new KeelsonError(
      'INVALID',
      `Parameters of pipeline ${definition.name} must be an object of named values.`,
    );
  }
  if (definition.parameters === undefined) return assertSize(definition, parameters as JsonObject);
  const validate = compileSchema(definition.parameters, `Pipeline ${definition.name}: parameters`);
  const faults = schemaFaults(validate, parameters, 'parameters');
  if (faults.length === 0) return assertSize(definition, parameters as JsonObject);
  throw new KeelsonError(
    'INVALID',
    `Parameters do not fit pipeline ${definition.name}@${definition.version}: ${faults.join('; ')}.`,
    { details: { faults } },
  );
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
