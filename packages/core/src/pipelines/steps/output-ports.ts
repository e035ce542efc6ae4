import { KeelsonError } from '../../errors.ts';
import { assertFits } from '../../json-schema.ts';
import type { StepDefinition } from '../definition.ts';
import { StepArtifact } from '../step-artifact.ts';

/**
 * What a step has put out, held to the outputs that it declares. INVALID, naming the output, for one that is
 * missing or does not fit its schema.
 */
export function checkOutputs(step: StepDefinition, value: unknown): unknown {
  const ports = Object.entries(step.outputs ?? {});
  for (const [name, port] of ports) {
    const field = fieldOf(value, name);
    if (field === undefined) {
      if (port.optional) continue;
      throw new KeelsonError(
        'INVALID',
        `Step ${step.name} has not put out "${name}", which it declares; return an object that has it.`,
        { details: { step: step.name, output: name } },
      );
    }
    if (port.type === 'metrics') assertMetrics(step.name, name, field);
    if (port.schema === undefined || field instanceof StepArtifact) continue;
    assertFits(port.schema, field, `Output "${name}" of step ${step.name}`);
  }
  return value;
}

function assertMetrics(step: string, name: string, value: unknown): void {
  const entries = Object.entries(typeof value === 'object' && value !== null ? value : { value });
  const odd = entries.find(([, figure]) => typeof figure !== 'number');
  if (odd === undefined && !Array.isArray(value)) return;
  const what =
    odd === undefined ? 'a list' : `${odd[0]} is ${JSON.stringify(odd[1])?.slice(0, 60)}`;
  throw new KeelsonError(
    'INVALID',
    `Output "${name}" of step ${step} is of type metrics, numbers by their names: ${what}.`,
    { details: { step, output: name } },
  );
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}
