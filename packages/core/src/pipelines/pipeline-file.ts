import { z } from 'zod';
import { KeelsonError } from '../errors.ts';
import { asJson, type Json, type JsonObject } from '../json.ts';
import { checkDefinition } from './check-definition.ts';
import type { InputSource, PipelineDefinition, StepInput } from './definition.ts';
import { faultText } from './pipeline-file-faults.ts';
import { readYaml } from './read-yaml.ts';
import { retryPolicy } from './retry-options.ts';
import { definedFields } from './step-options.ts';

const text = z.string();
const json = z.json();
const schemaOf = z.record(text, json).describe('A JSON Schema.');
const portType = z.enum(['dataset', 'model', 'metrics', 'parameter', 'artifact']);

const source = z
  .union([
    text.describe('A step, for its whole value.'),
    z
      .strictObject({ from: text, output: text.optional() })
      .describe('A step, or one field of its value.'),
    z.strictObject({ parameter: text }).describe('A parameter of the pipeline.'),
    z.strictObject({ value: json }).describe('A value that is written out.'),
  ])
  .describe('Where a value comes from.');

const port = {
  type: portType.optional(),
  schema: schemaOf.optional(),
  optional: z.boolean().optional(),
  default: json.optional(),
};

const input = z.union([
  source,
  z.array(source).describe('A list of values.'),
  z.strictObject({ from: text, output: text.optional(), ...port }),
  z.strictObject({ sources: z.array(source), ...port }),
  z.strictObject({ parameter: text, ...port }),
  z.strictObject({ value: json, ...port }),
]);

const output = z.union([
  portType,
  z.strictObject({ type: portType, schema: schemaOf.optional(), optional: z.boolean().optional() }),
]);

const resources = z.strictObject({
  cpuCores: z.number().optional(),
  memoryBytes: z.number().optional(),
  gpuCount: z.number().optional(),
  gpuType: text.optional(),
  storageBytes: z.number().optional(),
  maxDurationMs: z.number().optional(),
  preemptible: z.boolean().optional(),
  nodeSelector: z.record(text, text).optional(),
});

const step = z.strictObject({
  description: text.optional(),
  function: z
    .literal(true)
    .optional()
    .describe('A function that a process registers under this name.'),
  module: text.optional().describe('A module and its export, such as ./steps/train.ts#train.'),
  isolation: z.enum(['inline', 'thread', 'process']).optional(),
  command: z.array(text).optional().describe('A command; of an image, where there is one.'),
  image: text.optional(),
  network: z.enum(['none', 'bridge']).optional(),
  cwd: text.optional(),
  version: text.optional().describe('Of what the function or command does, for the cache.'),
  files: z
    .array(text)
    .optional()
    .describe('Files whose contents are part of the command, for the cache.'),
  executor: text.optional(),
  inputs: z.record(text, input).optional(),
  outputs: z.record(text, output).optional(),
  after: z
    .array(text)
    .optional()
    .describe('Steps that must have ended before, whose values it does not take.'),
  join: z.enum(['completed', 'ended']).optional(),
  when: text.optional().describe('A condition in CEL; where it is false the step is skipped.'),
  retries: z
    .union([
      z.number(),
      z.strictObject({
        limit: z.number(),
        delayMs: z.number().optional(),
        factor: z.number().optional(),
        maxDelayMs: z.number().optional(),
        on: z.array(z.enum(['transient', 'resource', 'data', 'permanent'])).optional(),
      }),
    ])
    .optional(),
  timeoutMs: z.number().optional(),
  env: z.record(text, text).optional(),
  resources: resources.optional(),
  cache: z
    .union([
      z.literal(false),
      z.strictObject({ maxAgeMs: z.number().optional(), parameters: z.array(text).optional() }),
    ])
    .optional(),
  forEach: z
    .strictObject({
      items: source,
      as: text
        .optional()
        .describe('The name of the input that gets the item; `item` when left out.'),
      maxParallel: z.number().optional(),
      stopWhen: text.optional(),
    })
    .optional(),
  repeat: z.strictObject({ until: text, max: z.number() }).optional(),
  distributed: z
    .strictObject({
      nodes: z.number(),
      processesPerNode: z.number(),
      strategy: z.enum(['data', 'model', 'pipeline', 'hybrid']),
    })
    .optional(),
  onFailure: z.enum(['fail', 'continue', 'skipDownstream']).optional(),
  priority: z.number().optional(),
});

/** The form of a pipeline as people write it. */
const pipelineFile = z
  .strictObject({
    name: text,
    version: text.describe('Semantic version.'),
    description: text.optional(),
    parameters: schemaOf.optional(),
    steps: z.record(text, step).describe('By name, in any order.'),
    output: text.optional().describe('The step whose value is the pipeline\u2019s.'),
    resourceDefaults: resources.optional(),
    timeoutMs: z.number().optional(),
    schedule: z
      .strictObject({
        cron: text,
        timeZone: text.optional(),
        catchUp: z.enum(['none', 'latest', 'all']).optional(),
        maxCatchUp: z.number().optional(),
        overlap: z.enum(['allow', 'skip']).optional(),
        parameters: z.record(text, json).optional(),
      })
      .optional(),
    triggers: z
      .array(
        z.strictObject({
          name: text,
          on: text,
          when: text.optional(),
          parameters: z.record(text, text).optional(),
        }),
      )
      .optional(),
    tags: z.record(text, text).optional(),
  })
  .describe('A pipeline of Keelson.');

/** The JSON Schema (draft 2020-12) of what {@link parsePipeline} takes, for editors. */
export function pipelineFileSchema(): JsonObject {
  return z.toJSONSchema(pipelineFile, { io: 'input' }) as unknown as JsonObject;
}

type PipelineFile = z.infer<typeof pipelineFile>;
type StepFile = z.infer<typeof step>;

/**
 * A pipeline from YAML or JSON text, checked, in the form in which it is stored. SYNTAX, with line and column, for
 * what is neither; INVALID, naming each place, for what is no pipeline, and for anchors, tags and texts of
 * more than 8 Mi characters.
 */
export function parsePipeline(source: string): PipelineDefinition {
  const { value, lineOf } = readYaml(source);
  const parsed = pipelineFile.safeParse(value);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => {
      const line = lineOf(issue.path);
      const at = issue.path.map(String).join('.') || 'the pipeline';
      return `${at}${line === undefined ? '' : ` (line ${line})`}: ${faultText(issue)}`;
    });
    throw new KeelsonError(
      'INVALID',
      `This is no pipeline: ${faults.slice(0, 10).join('; ')}${faults.length > 10 ? `; and ${faults.length - 10} more` : ''}.`,
      { details: { faults } },
    );
  }
  return checkDefinition(storedForm(parsed.data));
}

function storedForm({ name, version, description, steps, ...rest }: PipelineFile): unknown {
  return {
    format: 1,
    ...{ name, version, description: description ?? '' },
    ...definedFields(rest),
    steps: Object.entries(steps).map(([each, file]) => storedStep(each, file)),
  };
}

function storedStep(name: string, file: StepFile): unknown {
  const { inputs = {}, outputs, after = [], retries, forEach } = file;
  const { function: _, module: __, isolation: ___, command: ____, image: _____, ...more } = file;
  const { network: ______, cwd: _______, version: ________, files: _________, ...rest } = more;
  const ports = Object.entries(inputs).map(([input, port]) => [input, storedInput(port)] as const);
  const items = forEach === undefined ? undefined : sourceOf(forEach.items);
  const sources = [
    ...ports.flatMap(([, { from }]) => from),
    ...(items === undefined ? [] : [items]),
  ];
  const taken = sources.flatMap((from) => ('step' in from ? [from.step] : []));
  const { inputs: a, outputs: b, after: c, retries: d, forEach: e, ...kept } = rest;
  void [a, b, c, d, e];
  return {
    name,
    run: storedRun(name, file),
    inputs: Object.fromEntries(ports),
    dependsOn: [...new Set([...taken, ...after])],
    retry: retryPolicy(retries as Parameters<typeof retryPolicy>[0]),
    ...definedFields(kept),
    ...(outputs === undefined
      ? {}
      : {
          outputs: Object.fromEntries(
            Object.entries(outputs).map(([key, port]) => [
              key,
              typeof port === 'string' ? { type: port } : definedFields(port),
            ]),
          ),
        }),
    ...(forEach === undefined
      ? {}
      : { forEach: { ...definedFields(forEach), items, as: forEach.as ?? 'item' } }),
  };
}

function storedRun(name: string, file: StepFile): unknown {
  const { module, command, image, isolation = 'inline', network, cwd, version, files } = file;
  const ways = [file.function, module, image ?? command].filter((way) => way !== undefined);
  if (ways.length !== 1) {
    throw new KeelsonError(
      'INVALID',
      `Step ${name} says ${ways.length === 0 ? 'not' : 'in several ways'} what it runs: give it one of module, command, image (with or without a command) or function.`,
    );
  }
  assertOwnFields(name, file);
  if (image !== undefined) return { type: 'image', image, ...definedFields({ command, network }) };
  if (command !== undefined) {
    return { type: 'command', command, ...definedFields({ cwd, version, files }) };
  }
  if (module === undefined) return { type: 'function', ...definedFields({ version }) };
  const hash = module.lastIndexOf('#');
  if (hash <= 0 || hash === module.length - 1) {
    throw new KeelsonError(
      'INVALID',
      `Step ${name}: a module is named with its export, such as ./steps/train.ts#train, not ${module}.`,
    );
  }
  return {
    type: 'module',
    module: module.slice(0, hash),
    export: module.slice(hash + 1),
    isolation,
  };
}

/** What belongs to one way of running only. */
const ownFields = {
  image: ['network'],
  command: ['cwd', 'version', 'files'],
  module: ['isolation'],
  function: ['version'],
} as const;

function assertOwnFields(name: string, file: StepFile): void {
  const { image, command, module } = file;
  const way =
    image !== undefined
      ? 'image'
      : command !== undefined
        ? 'command'
        : module !== undefined
          ? 'module'
          : 'function';
  const own: readonly string[] = ownFields[way];
  const foreign = [...new Set(Object.values(ownFields).flat())].filter(
    (field) => file[field] !== undefined && !own.includes(field),
  );
  if (foreign.length === 0) return;
  throw new KeelsonError(
    'INVALID',
    `Step ${name}: ${foreign.join(', ')} ${foreign.length === 1 ? 'means' : 'mean'} nothing to a step that runs ${way === 'image' ? 'an image' : `a ${way}`}; leave it out.`,
  );
}

type InputFile = z.infer<typeof input>;
type SourceFile = z.infer<typeof source>;

function storedInput(file: InputFile): StepInput {
  if (Array.isArray(file)) return { from: file.map(sourceOf) };
  if (typeof file === 'string') return { from: sourceOf(file) };
  const { type, schema, optional, default: fallback, ...from } = file as Record<string, unknown>;
  const sources = (from as { readonly sources?: readonly SourceFile[] }).sources;
  return {
    from: sources === undefined ? sourceOf(from as SourceFile) : sources.map(sourceOf),
    ...(definedFields({ type, schema, optional, default: fallback }) as Partial<StepInput>),
  };
}

function sourceOf(file: SourceFile): InputSource {
  if (typeof file === 'string') return { step: file };
  if ('parameter' in file) return { parameter: file.parameter };
  if ('value' in file) return { value: asJson(file.value) as Json };
  return { step: file.from, ...(file.output === undefined ? {} : { output: file.output }) };
}
