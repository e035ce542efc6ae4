import semver from 'semver';
import { z } from 'zod';
import { KeelsonError } from '../errors.ts';
import { asJson, assertText, type JsonObject } from '../json.ts';
import type { PipelineDefinition } from './definition.ts';
import { assertParametersSchema } from './parameters.ts';
import { findCycle } from './step-graph.ts';

const maxSteps = 10_000;
const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'must be 1–100 letters, digits, ".", "_" or "-"');
const version = z
  .string()
  .refine((text) => semver.valid(text) === text, 'must be a semantic version such as 1.0.0');
const duration = z.number().int().nonnegative();

const stepSchema = z.strictObject({
  name,
  run: z.strictObject({ type: z.literal('function') }),
  inputs: z.record(name, z.union([z.string(), z.array(z.string())])),
  dependsOn: z.array(z.string()),
  retry: z.strictObject({
    limit: z.number().int().min(0).max(1000),
    delayMs: duration,
    factor: z.number().min(1).max(100),
    maxDelayMs: duration,
    on: z.array(z.enum(['transient', 'resource', 'data', 'permanent'])),
  }),
  timeoutMs: duration.min(1).exactOptional(),
});

const schema = z.strictObject({
  format: z.literal(1),
  name,
  version,
  description: z.string().max(2048),
  parameters: z.custom<JsonObject>((value) => typeof value === 'object').exactOptional(),
  steps: z.array(stepSchema).min(1, 'must have a step').max(maxSteps),
  output: z.string().exactOptional(),
}) satisfies z.ZodType<PipelineDefinition>;

/**
 * A definition from outside, checked: its form, names, references, cycles (named in full) and the
 * schema of its parameters. INVALID, naming the place and all that is wrong.
 */
export function checkDefinition(value: unknown): PipelineDefinition {
  const parsed = schema.safeParse(asJson(value, 'definition'));
  if (!parsed.success) {
    throw refuse(
      value,
      parsed.error.issues.map((issue) => `${place(issue.path)} ${issue.message}`),
    );
  }
  const definition = parsed.data;
  const faults = [...nameFaults(definition), ...referenceFaults(definition)];
  if (faults.length === 0) {
    const cycle = findCycle(definition.steps);
    if (cycle !== undefined) {
      faults.push(`steps wait for one another in a circle: ${cycle.join(' → ')}`);
    }
  }
  if (faults.length > 0) throw refuse(value, faults);
  if (definition.parameters !== undefined) assertParametersSchema(definition);
  return definition;
}

function nameFaults(definition: PipelineDefinition): string[] {
  const first = new Map<string, number>();
  return definition.steps.flatMap((step, i) => {
    const before = first.get(step.name);
    if (before === undefined) {
      first.set(step.name, i);
      return [];
    }
    return [`steps[${i}].name "${step.name}" is already the name of steps[${before}]`];
  });
}

function referenceFaults(definition: PipelineDefinition): string[] {
  const known = new Set(definition.steps.map((step) => step.name));
  const faults: string[] = [];
  definition.steps.forEach((step, i) => {
    const at = `steps[${i}] "${step.name}"`;
    const waits = new Set(step.dependsOn);
    if (waits.size < step.dependsOn.length) faults.push(`${at}.dependsOn names a step twice`);
    for (const other of waits) {
      if (!known.has(other)) faults.push(`${at}.dependsOn: there is no step "${other}"`);
    }
    for (const [input, source] of Object.entries(step.inputs)) {
      for (const other of typeof source === 'string' ? [source] : source) {
        if (!known.has(other)) faults.push(`${at}.inputs.${input}: there is no step "${other}"`);
        else if (!waits.has(other)) {
          faults.push(`${at}.inputs.${input}: "${other}" is missing in dependsOn`);
        }
      }
    }
  });
  const { output } = definition;
  if (output !== undefined && !known.has(output))
    faults.push(`output: there is no step "${output}"`);
  return faults;
}

function refuse(value: unknown, faults: readonly string[]): KeelsonError {
  const named = (value as { readonly name?: unknown } | undefined)?.name;
  const who = typeof named === 'string' ? ` ${JSON.stringify(named.slice(0, 100))}` : '';
  const shown = faults.slice(0, 10).join('; ');
  const more = faults.length > 10 ? `; and ${faults.length - 10} more` : '';
  return new KeelsonError('INVALID', `Pipeline${who} cannot be used: ${shown}${more}.`, {
    details: { faults },
  });
}

function place(path: readonly PropertyKey[]): string {
  const text = path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('');
  return text === '' ? 'the definition' : assertText(text.replace(/^\./, ''), 'a path');
}
