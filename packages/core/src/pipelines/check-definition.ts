import semver from 'semver';
import { z } from 'zod';
import type { Resources } from '../contracts/executor.ts';
import { KeelsonError } from '../errors.ts';
import { asJson, assertText, type Json, type JsonObject } from '../json.ts';
import {
  type InputSource,
  type PipelineDefinition,
  type ScheduleDefinition,
  type StepDefinition,
  type StepInput,
  type StepOutputPort,
  type StepRun,
  sourcesOf,
  type TriggerDefinition,
} from './definition.ts';
import { definitionFaults } from './definition-faults.ts';
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

const expression = z.string().min(1).max(4096);
const json = z.custom<Json>((value) => value !== undefined);
const jsonSchema = z.custom<JsonObject>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  'must be a JSON Schema',
);
const portType = z.enum(['dataset', 'model', 'metrics', 'parameter', 'artifact']);

const source = z.union([
  z.strictObject({ step: z.string(), output: z.string().min(1).max(255).exactOptional() }),
  z.strictObject({ parameter: z.string() }),
  z.strictObject({ value: json }),
]) satisfies z.ZodType<InputSource>;

const input = z.strictObject({
  from: z.union([source, z.array(source).max(maxSteps)]),
  type: portType.exactOptional(),
  schema: jsonSchema.exactOptional(),
  optional: z.boolean().exactOptional(),
  default: json.exactOptional(),
}) satisfies z.ZodType<StepInput>;

const output = z.strictObject({
  type: portType,
  schema: jsonSchema.exactOptional(),
  optional: z.boolean().exactOptional(),
}) satisfies z.ZodType<StepOutputPort>;

const command = z.array(z.string().max(32_768)).min(1).max(1000);
const run = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('function'), version: z.string().max(255).exactOptional() }),
  z.strictObject({
    type: z.literal('module'),
    module: z.string().min(1).max(1024),
    export: z.string().min(1).max(255),
    isolation: z.enum(['inline', 'thread', 'process']),
  }),
  z.strictObject({
    type: z.literal('command'),
    command,
    cwd: z.string().max(1024).exactOptional(),
    version: z.string().max(255).exactOptional(),
    files: z.array(z.string().max(1024)).max(1000).exactOptional(),
  }),
  z.strictObject({
    type: z.literal('image'),
    image: z.string().min(1).max(512),
    command: command.exactOptional(),
    network: z.enum(['none', 'bridge']).exactOptional(),
  }),
]) satisfies z.ZodType<StepRun>;

const texts = z.record(z.string().max(255), z.string().max(32_768));
/** Without NUL, as all text of a definition. */
const variables = z.record(
  z
    .string()
    .max(255)
    .regex(/^[^=]+$/, 'must be the name of a variable: not empty, without "="')
    .refine(
      (key) => !key.startsWith('KEELSON_'),
      'must not begin with KEELSON_: those are set by Keelson',
    ),
  z.string().max(32_768),
);
const resources = z.strictObject({
  cpuCores: z.number().positive().max(100_000).exactOptional(),
  memoryBytes: z.number().int().positive().exactOptional(),
  gpuCount: z.number().int().nonnegative().max(10_000).exactOptional(),
  gpuType: z.string().max(255).exactOptional(),
  storageBytes: z.number().int().positive().exactOptional(),
  maxDurationMs: duration.min(1).exactOptional(),
  preemptible: z.boolean().exactOptional(),
  nodeSelector: texts.exactOptional(),
}) satisfies z.ZodType<Resources>;

const stepSchema = z.strictObject({
  name,
  description: z.string().max(2048).exactOptional(),
  run,
  executor: name.exactOptional(),
  inputs: z.record(name, input),
  outputs: z.record(name, output).exactOptional(),
  dependsOn: z.array(z.string()),
  join: z.enum(['completed', 'ended']).exactOptional(),
  when: expression.exactOptional(),
  retry: z.strictObject({
    limit: z.number().int().min(0).max(1000),
    delayMs: duration,
    factor: z.number().min(1).max(100),
    maxDelayMs: duration,
    on: z.array(z.enum(['transient', 'resource', 'data', 'permanent'])),
  }),
  timeoutMs: duration.min(1).exactOptional(),
  env: variables.exactOptional(),
  resources: resources.exactOptional(),
  cache: z
    .union([
      z.literal(false),
      z.strictObject({
        maxAgeMs: duration.exactOptional(),
        parameters: z.array(z.string()).exactOptional(),
      }),
    ])
    .exactOptional(),
  forEach: z
    .strictObject({
      items: source,
      as: name,
      maxParallel: z.number().int().min(1).max(maxSteps).exactOptional(),
      stopWhen: expression.exactOptional(),
    })
    .exactOptional(),
  repeat: z
    .strictObject({ until: expression, max: z.number().int().min(1).max(maxSteps) })
    .exactOptional(),
  distributed: z
    .strictObject({
      nodes: z.number().int().min(1).max(1000),
      processesPerNode: z.number().int().min(1).max(1000),
      strategy: z.enum(['data', 'model', 'pipeline', 'hybrid']),
    })
    .exactOptional(),
  onFailure: z.enum(['fail', 'continue', 'skipDownstream']).exactOptional(),
  priority: z.number().int().min(-1000).max(1000).exactOptional(),
}) satisfies z.ZodType<StepDefinition>;

const schedule = z.strictObject({
  cron: z.string().min(1).max(255),
  timeZone: z.string().max(100).exactOptional(),
  catchUp: z.enum(['none', 'latest', 'all']).exactOptional(),
  maxCatchUp: z.number().int().min(1).max(10_000).exactOptional(),
  overlap: z.enum(['allow', 'skip']).exactOptional(),
  parameters: jsonSchema.exactOptional(),
}) satisfies z.ZodType<ScheduleDefinition>;

const trigger = z.strictObject({
  name,
  on: z.string().min(1).max(255),
  when: expression.exactOptional(),
  parameters: z.record(z.string().max(255), expression).exactOptional(),
}) satisfies z.ZodType<TriggerDefinition>;

const schema = z.strictObject({
  format: z.literal(1),
  name,
  version,
  description: z.string().max(2048),
  parameters: z.custom<JsonObject>((value) => typeof value === 'object').exactOptional(),
  steps: z.array(stepSchema).min(1, 'must have a step').max(maxSteps),
  output: z.string().exactOptional(),
  resourceDefaults: resources.exactOptional(),
  timeoutMs: duration.min(1).exactOptional(),
  schedule: schedule.exactOptional(),
  triggers: z.array(trigger).max(50).exactOptional(),
  tags: texts
    .refine((tags) => Object.keys(tags).length <= 20, 'must have at most 20')
    .exactOptional(),
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
      parsed.error.issues.map((issue) => `${place(issue.path)} ${reasonOf(issue)}`),
    );
  }
  const definition = parsed.data;
  const faults = [...nameFaults(definition), ...referenceFaults(definition)];
  if (faults.length === 0) {
    if (definition.parameters !== undefined) assertParametersSchema(definition);
    const cycle = findCycle(definition.steps);
    if (cycle !== undefined) {
      faults.push(`steps wait for one another in a circle: ${cycle.join(' → ')}`);
    }
    faults.push(...definitionFaults(definition));
  }
  if (faults.length > 0) throw refuse(value, faults);
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
      const taken = Object.values(step.inputs).flatMap(sourcesOf);
      const told = taken.some((source) => 'step' in source && source.step === other);
      if (!known.has(other) && !told) faults.push(`${at}.dependsOn: there is no step "${other}"`);
    }
    for (const [input, port] of Object.entries(step.inputs)) {
      for (const source of sourcesOf(port)) {
        if (!('step' in source)) continue;
        const other = source.step;
        if (!known.has(other)) {
          faults.push(
            `${at}.inputs.${input}: there is no step "${other}"${fieldHint(other, known)}`,
          );
        }
        if (known.has(other) && !waits.has(other)) {
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

/** For those who write a field of a value as code does. */
function fieldHint(name: string, known: ReadonlySet<string>): string {
  const dot = name.indexOf('.');
  const [step, output] = [name.slice(0, dot), name.slice(dot + 1)];
  if (dot < 1 || !known.has(step)) return '';
  return `; a field of what "${step}" puts out is { from: ${step}, output: ${output} }`;
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

/** What is wrong with the name of a field is said within. */
function reasonOf(issue: z.core.$ZodIssue): string {
  const within = issue.code === 'invalid_key' ? issue.issues[0] : undefined;
  return within === undefined ? issue.message : reasonOf(within);
}

function place(path: readonly PropertyKey[]): string {
  const text = path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('');
  return text === '' ? 'the definition' : assertText(text.replace(/^\./, ''), 'a path');
}
