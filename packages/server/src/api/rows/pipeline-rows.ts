import {
  type Execution,
  type JsonObject,
  type PipelineDefinition,
  parsePipeline,
  type StartOptions,
  type Trigger,
} from '@keelson/core';
import { z } from 'zod';
import { headerOf } from '../../http/exchange.ts';
import { boundaryOf, partText, readParts } from '../../http/multipart.ts';
import { onePiece } from '../../http/one-piece.ts';
import { readBody } from '../../http/request-body.ts';
import { badInput } from '../read-input.ts';
import type { Call, Route } from '../route.ts';
import { answered, asked, cursor, looseObject, paging, tags, time, whole } from '../schemas.ts';

/** Which pipeline. */
export interface OnePipeline {
  readonly pipeline: string;
}

/** A definition that is stored. */
export interface StoredPipeline {
  readonly name: string;
  readonly version: string;
  readonly digest: string;
  readonly steps: readonly string[];
}

/** How an execution begins. */
export interface StartExecution
  extends Pick<
    StartOptions,
    | 'version'
    | 'idempotencyKey'
    | 'trigger'
    | 'priority'
    | 'timeoutMs'
    | 'tags'
    | 'from'
    | 'until'
    | 'only'
    | 'reuse'
  > {
  readonly parameters?: JsonObject;
}

/** Something that has happened, for the triggers that hear it. */
export interface TriggerEvent {
  /** Type of an event that triggers hear, or the name of a trigger that hears none. */
  readonly eventType: string;
  readonly payload?: JsonObject;
  /** The same id starts once. */
  readonly id?: string;
}

interface ListExecutions extends OnePipeline {
  readonly status?: Execution['status'];
  readonly limit?: number;
  readonly cursor?: string;
}

/** A page of executions. */
export interface ExecutionPage {
  readonly executions: readonly Execution[];
  readonly cursor?: string;
}

/** How an execution stands. */
export const executionStatus: z.ZodType<Execution['status']> = z.enum([
  'PENDING',
  'RUNNING',
  'COMPLETED',
  'FAILED',
  'CANCELLED',
]);

/** Fields of an execution. */
export const executionFields: { readonly [K in keyof Execution]-?: z.ZodType } = {
  id: z.string(),
  pipeline: z.string(),
  version: z.string(),
  definition: z.string(),
  status: executionStatus,
  parameters: looseObject,
  trigger: z.string(),
  triggeredBy: z.string(),
  idempotencyKey: z.string().optional(),
  correlationId: z.string(),
  queuedAt: time,
  startedAt: time.optional(),
  endedAt: time.optional(),
  totalSteps: whole,
  openSteps: whole,
  round: whole,
  priority: whole,
  paused: z.boolean(),
  deadlineAt: time.optional(),
  parentExecutionId: z.string().optional(),
  partial: looseObject.optional(),
  tags,
  failure: looseObject.optional(),
  cancelReason: z.string().optional(),
};

/** An execution as it is answered. */
export const execution: z.ZodType<Execution> = answered<Execution>('Execution', executionFields);

const exampleFile = {
  name: 'nightly',
  version: '1.0.0',
  parameters: { type: 'object', properties: { rate: { type: 'number', default: 0.1 } } },
  steps: { train: { command: ['echo', 'training'] } },
};

/** A trigger as it is answered. */
export const trigger: z.ZodType<Trigger> = answered<Trigger>('Trigger', {
  id: z.string(),
  name: z.string(),
  pipeline: z.string(),
  version: z.string().optional(),
  on: z.string().optional(),
  when: z.string().optional(),
  parameters: tags.optional(),
  active: z.boolean(),
  lastFailure: looseObject.optional(),
  ofDefinition: z.boolean(),
  createdBy: z.string(),
  createdAt: time,
  revision: whole,
});

/** Pipelines under `/api/v1/pipelines`. */
export const pipelineRows: {
  readonly define: Route<{ readonly body?: unknown }, StoredPipeline>;
  readonly trigger: Route<
    { readonly body: TriggerEvent },
    { readonly executions: readonly Execution[] }
  >;
  readonly get: Route<OnePipeline & { readonly version?: string }, PipelineDefinition>;
  readonly start: Route<OnePipeline & { readonly body?: StartExecution }, Execution>;
  readonly list: Route<ListExecutions, ExecutionPage>;
  readonly triggers: Route<OnePipeline, { readonly triggers: readonly Trigger[] }>;
} = {
  define: {
    method: 'POST',
    path: '/pipelines',
    summary: 'Stores a definition; the same one again is no fault',
    description:
      'As JSON or YAML in the body, alone or under `pipeline_definition`, or as a file (`multipart/form-data`).',
    permission: 'pipeline.define',
    upload: { mediaTypes: ['application/json', 'application/yaml', 'multipart/form-data'] },
    answers: {
      as: 'json',
      status: 201,
      schema: answered<StoredPipeline>('StoredPipeline', {
        name: z.string(),
        version: z.string(),
        digest: z.string(),
        steps: z.array(z.string()),
      }),
    },
    example: { body: exampleFile },
    async run(call) {
      const definition = parsePipeline(await definitionText(call));
      const digest = await call.services.pipelines.putDefinition(definition);
      const { name, version, steps } = definition;
      return { name, version, digest, steps: steps.map((step) => step.name) };
    },
  },
  trigger: {
    method: 'POST',
    path: '/pipelines/trigger',
    summary: 'Starts the pipelines whose triggers hear an event, and answers what was started',
    permission: 'pipeline.run',
    spellings: { type: 'eventType' },
    body: asked<TriggerEvent>({
      eventType: z
        .string()
        .min(1)
        .describe('A type that triggers hear, or the name of a trigger that hears none'),
      payload: looseObject.optional(),
      id: z.string().max(200).describe('The same id starts once').optional(),
    }),
    answers: {
      as: 'json',
      status: 202,
      schema: answered<{ readonly executions: readonly Execution[] }>('Executions', {
        executions: z.array(execution),
      }),
    },
    example: { body: { eventType: 'drift.detected', payload: { model: 'churn' } } },
    async run({ services: { pipelines }, input: { body } }) {
      const { eventType, payload = {}, id } = body;
      const hearing = (await pipelines.triggers.list()).filter(
        (each) => each.active && hears(each, eventType),
      );
      const started: Execution[] = [];
      for (const { name } of hearing) {
        const begun = await pipelines.triggers.fire(name, payload, id === undefined ? {} : { id });
        if (begun !== undefined) started.push(begun);
      }
      return { executions: started };
    },
  },
  get: {
    method: 'GET',
    path: '/pipelines/{pipeline}',
    summary: 'A definition: of the version, or the highest',
    permission: 'pipeline.read',
    query: { version: z.string().optional() },
    answers: { as: 'json', schema: looseObject as never },
    example: { pipeline: 'train', version: '1.0.0' },
    run: ({ services, input }) => services.pipelines.getDefinition(input.pipeline, input.version),
  },
  start: {
    method: 'POST',
    path: '/pipelines/{pipeline}/runs',
    summary: 'Starts an execution; where the background of a platform runs, its steps run',
    permission: 'pipeline.run',
    spellings: { trigger_type: 'trigger', triggerType: 'trigger' },
    body: asked<StartExecution>({
      parameters: looseObject.optional(),
      version: z.string().describe('The highest when left out').optional(),
      idempotencyKey: z.string().max(200).optional(),
      trigger: z.enum(['MANUAL', 'SCHEDULED', 'API', 'WEBHOOK', 'EVENT']).optional(),
      priority: z.number().int().min(-1000).max(1000).optional(),
      timeoutMs: z.number().int().min(1).optional(),
      tags: tags.optional(),
      from: z.string().describe('This step and all that depend on it').optional(),
      until: z.string().describe('This step and all that it depends on').optional(),
      only: z.string().describe('This step alone').optional(),
      reuse: z
        .string()
        .describe('The execution whose outputs stand for those of the steps before')
        .optional(),
    }).optional() as never,
    answers: { as: 'json', status: 202, schema: execution },
    example: { pipeline: 'train', body: { parameters: { rate: 0.001 }, tags: { by: 'curl' } } },
    run({ services, input: { pipeline, body = {} } }) {
      const { parameters = {}, ...options } = body;
      return services.pipelines.start(pipeline, parameters, options);
    },
  },
  list: {
    method: 'GET',
    path: '/pipelines/{pipeline}/runs',
    summary: 'The executions of a pipeline, newest first',
    permission: 'pipeline.read',
    query: { status: executionStatus.optional(), ...paging },
    answers: {
      as: 'json',
      schema: answered<ExecutionPage>('ExecutionPage', { executions: z.array(execution), cursor }),
    },
    example: { pipeline: 'train', limit: 5 },
    run: ({ services, input }) => services.pipelines.list(input),
  },
  triggers: {
    method: 'GET',
    path: '/pipelines/{pipeline}/triggers',
    summary: 'What starts a pipeline: events and webhooks',
    permission: 'pipeline.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly triggers: readonly Trigger[] }>('Triggers', {
        triggers: z.array(trigger),
      }),
    },
    example: { pipeline: 'train' },
    run: async ({ services, input }) => ({
      triggers: await services.pipelines.triggers.list(input),
    }),
  },
};

/** Whether a trigger hears a type: by its own, by a pattern such as `drift.*`, or, hearing none, by its name. */
function hears({ name, on }: Trigger, type: string): boolean {
  if (on === undefined) return name === type;
  return on === type || on === '*' || (on.endsWith('.*') && type.startsWith(on.slice(0, -1)));
}

/** What was sent, as text: the body, a field of it, or the file of a form. */
async function definitionText({
  headers,
  bytes,
}: Pick<Call<never>, 'headers' | 'bytes'>): Promise<string> {
  const whole = Buffer.from(await readBody({ headers, body: bytes }, 16 * 2 ** 20));
  // A form whose type was overwritten (`curl -H 'Content-Type: application/json' -F …`) begins with its boundary.
  const [, begun] =
    /^--([^\r\n]{1,70})\r\nContent-Disposition/i.exec(whole.subarray(0, 200).toString('latin1')) ??
    [];
  const boundary = boundaryOf(headerOf(headers, 'content-type')) ?? begun;
  if (boundary === undefined) return unwrapped(whole.toString('utf8'));
  for await (const part of readParts(onePiece(whole), boundary)) {
    if (
      part.fileName !== undefined ||
      part.name === 'pipeline' ||
      part.name === 'pipeline_definition'
    )
      return unwrapped(await partText(part, 16 * 2 ** 20));
  }
  throw badInput([{ path: 'body.pipeline', message: 'is missing: a part with the definition' }]);
}

function unwrapped(text: string): string {
  if (!/^\s*\{/.test(text)) return text;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // YAML may begin so too; whoever reads it says what is wrong.
    return text;
  }
  const { pipeline_definition, pipelineDefinition = pipeline_definition } = parsed as Record<
    string,
    unknown
  >;
  if (pipelineDefinition === undefined) return text;
  return typeof pipelineDefinition === 'string'
    ? pipelineDefinition
    : JSON.stringify(pipelineDefinition);
}
