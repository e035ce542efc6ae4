import {
  type Execution,
  isKeelsonError,
  type StepExecution,
  type StepLogChunk,
} from '@keelson/core';
import { z } from 'zod';
import { refusal } from '../problem.ts';
import type { Call, Content, MessageStream, Route, StreamMessage } from '../route.ts';
import { answered, asked, looseObject, time, whole } from '../schemas.ts';
import { execution, executionFields } from './pipeline-rows.ts';

/** Which execution. */
export interface OneExecution {
  readonly pipeline: string;
  readonly executionId: string;
}

/** An execution, with its steps where they are asked for. */
export interface ExecutionWithSteps extends Execution {
  readonly steps?: readonly StepExecution[];
}

/** A piece of a step's log. */
export interface WireLog extends StepLogChunk {
  readonly step: string;
}

/** How far an execution is. */
export interface ExecutionProgress {
  readonly id: string;
  readonly status: Execution['status'];
  readonly totalSteps: number;
  readonly openSteps: number;
  readonly steps: readonly {
    readonly step: string;
    readonly status: StepExecution['status'];
    readonly attempt: number;
  }[];
}

/** A file that a step has put out. */
export interface StepFile {
  readonly step: string;
  readonly name: string;
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly mimeType: string;
}

interface LogQuery extends OneExecution {
  readonly step?: string;
  readonly follow?: boolean;
  readonly attempt?: number;
  readonly item?: number;
}

interface Why {
  readonly reason?: string;
}

const log = answered<WireLog>('LogChunk', {
  step: z.string(),
  stream: z.enum(['stdout', 'stderr']),
  at: time,
  text: z.string(),
});
const logQuery = {
  follow: z.boolean().describe('Also what will be written, to the end').optional(),
  attempt: whole.describe('The last one when left out').optional(),
  item: whole.describe('Of a fan-out: which, 0 for the first').optional(),
};
const stepSpellings = { step_id: 'step', stepId: 'step' };
const example = { pipeline: 'train', executionId: 'execution-1' };
const why = asked<Why>({ reason: z.string().max(2000).optional() }).optional() as never;

/** Executions under `/api/v1/pipelines/{pipeline}/runs`. */
export const executionRows: {
  readonly get: Route<OneExecution & { readonly includeSteps?: boolean }, ExecutionWithSteps>;
  readonly status: Route<OneExecution, ExecutionProgress>;
  readonly cancel: Route<OneExecution & { readonly body?: Why }, Execution>;
  readonly retry: Route<OneExecution, Execution>;
  readonly pause: Route<OneExecution, Execution>;
  readonly resume: Route<OneExecution, Execution>;
  readonly logs: Route<LogQuery, MessageStream<WireLog>>;
  readonly stepLogs: Route<
    Omit<LogQuery, 'pipeline' | 'step'> & { readonly step: string },
    MessageStream<WireLog>
  >;
  readonly artifacts: Route<
    OneExecution & { readonly step?: string; readonly path?: string },
    { readonly artifacts: readonly StepFile[] }
  >;
  readonly artifact: Route<
    OneExecution & { readonly step: string; readonly name: string },
    Content
  >;
} = {
  get: {
    method: 'GET',
    path: '/pipelines/{pipeline}/runs/{executionId}',
    summary: 'An execution',
    permission: 'pipeline.read',
    query: { includeSteps: z.boolean().optional() },
    answers: {
      as: 'json',
      schema: answered<ExecutionWithSteps>('ExecutionWithSteps', {
        ...executionFields,
        steps: z.array(looseObject).optional(),
      }),
    },
    example: { ...example, includeSteps: true },
    async run({ services: { pipelines }, input }) {
      const found = await executionOf(pipelines, input);
      return input.includeSteps === true
        ? { ...found, steps: await pipelines.steps(found.id) }
        : found;
    },
  },
  status: {
    method: 'GET',
    path: '/pipelines/{pipeline}/runs/{executionId}/status',
    summary: 'How far an execution is, step by step',
    permission: 'pipeline.read',
    answers: {
      as: 'json',
      schema: answered<ExecutionProgress>('ExecutionProgress', {
        id: z.string(),
        status: z.string(),
        totalSteps: whole,
        openSteps: whole,
        steps: z.array(z.looseObject({ step: z.string(), status: z.string(), attempt: whole })),
      }),
    },
    example,
    async run({ services: { pipelines }, input }) {
      const { id, status, totalSteps, openSteps } = await executionOf(pipelines, input);
      const steps = await pipelines.steps(id);
      const short = steps.map(({ step, status: of, attempt }) => ({ step, status: of, attempt }));
      return { id, status, totalSteps, openSteps, steps: short };
    },
  },
  cancel: {
    method: 'POST',
    path: '/pipelines/{pipeline}/runs/{executionId}/cancel',
    summary: 'Ends an execution: nothing more starts, what runs is ended',
    permission: 'pipeline.run',
    body: why,
    answers: { as: 'json', schema: execution },
    example: { ...example, executionId: 'execution-2', body: { reason: 'Wrong data' } },
    async run({ services: { pipelines }, input }) {
      const { id } = await executionOf(pipelines, input);
      return pipelines.cancel(id, input.body?.reason);
    },
  },
  retry: changes(
    'retry',
    'Begins a failed or cancelled execution again; what completed stays',
    'execution-2',
  ),
  pause: changes('pause', 'Starts nothing more of it until it is resumed', 'execution-3'),
  resume: changes('resume', 'Undoes that', 'execution-3'),
  logs: {
    method: 'GET',
    path: '/pipelines/{pipeline}/runs/{executionId}/logs',
    summary: 'What steps have written, as server-sent events: of one, or of each in turn',
    permission: 'pipeline.read',
    spellings: stepSpellings,
    query: { step: z.string().optional(), ...logQuery },
    answers: { as: 'messages', schema: log },
    example: { ...example, step: 'train' },
    async run({ services: { pipelines }, input, signal }) {
      const { executionId, step } = input;
      await executionOf(pipelines, input);
      const all = await stepsOf(pipelines, executionId, step);
      const steps = step === undefined ? all : [step];
      const options = logOptions(input);
      return { messages: logsOf(pipelines, { executionId, steps, options, signal }) };
    },
  },
  stepLogs: {
    method: 'GET',
    path: '/pipelines/runs/{executionId}/steps/{step}/logs',
    aliases: ['/pipelines/{pipeline}/runs/{executionId}/steps/{step}/logs'],
    summary: 'What a step has written, as server-sent events',
    permission: 'pipeline.read',
    query: logQuery,
    answers: { as: 'messages', schema: log },
    example: { executionId: 'execution-1', step: 'train' },
    async run({ services: { pipelines }, input, signal }) {
      const { executionId, step } = input;
      await stepsOf(pipelines, executionId, step);
      const options = logOptions(input);
      return { messages: logsOf(pipelines, { executionId, steps: [step], options, signal }) };
    },
  },
  artifacts: {
    method: 'GET',
    path: '/pipelines/{pipeline}/runs/{executionId}/artifacts',
    summary: 'The files that steps have put out',
    permission: 'pipeline.read',
    spellings: stepSpellings,
    query: {
      step: z.string().optional(),
      path: z.string().describe('Only those below').optional(),
    },
    answers: {
      as: 'json',
      schema: answered<{ readonly artifacts: readonly StepFile[] }>('StepFiles', {
        artifacts: z.array(
          answered<StepFile>('StepFile', {
            step: z.string(),
            name: z.string(),
            path: z.string(),
            sha256: z.string(),
            sizeBytes: whole,
            mimeType: z.string(),
          }),
        ),
      }),
    },
    example,
    async run({ services: { pipelines }, input }) {
      const { step, path = '' } = input;
      const steps = await pipelines.steps((await executionOf(pipelines, input)).id);
      const files = steps
        .filter((each) => step === undefined || each.step === step)
        .flatMap((each) => each.artifacts.map((file) => ({ step: each.step, ...file })));
      return { artifacts: files.filter((file) => file.path.startsWith(path)) };
    },
  },
  artifact: {
    method: 'GET',
    path: '/pipelines/{pipeline}/runs/{executionId}/steps/{step}/artifacts/{name+}',
    summary: 'The bytes of a file that a step has put out; ranges too',
    permission: 'pipeline.read',
    answers: { as: 'bytes', mediaTypes: ['*/*'] },
    failures: [416],
    example: { ...example, step: 'train', name: 'weights' },
    async run({ services: { pipelines }, input, signal }) {
      const { executionId, step, name } = input;
      await executionOf(pipelines, input);
      const files = await pipelines.artifacts(executionId, step);
      const file = Object.hasOwn(files, name) ? files[name] : undefined;
      if (file === undefined) throw noFile(step, name, Object.keys(files));
      const { sha256, sizeBytes, mimeType } = file;
      return {
        mediaType: mimeType,
        sizeBytes,
        etag: `"${sha256}"`,
        fileName: name.split('/').at(-1) ?? name,
        open: (range) => file.open(range, signal),
      };
    },
  },
};

type Pipelines = Call<never>['services']['pipelines'];

/** The execution; NOT_FOUND where it is none of this pipeline. */
export async function executionOf(
  pipelines: Pipelines,
  { pipeline, executionId }: OneExecution,
): Promise<Execution> {
  const found = await pipelines.get(executionId);
  if (found.pipeline === pipeline) return found;
  throw refusal(404, 'NOT_FOUND', `Pipeline ${pipeline} has no execution ${executionId}.`);
}

/** The names of its steps; NOT_FOUND, before a stream begins, where `step` is none of them. */
async function stepsOf(
  pipelines: Pipelines,
  executionId: string,
  step: string | undefined,
): Promise<readonly string[]> {
  await pipelines.get(executionId);
  const all = [...new Set((await pipelines.steps(executionId)).map((each) => each.step))];
  if (step === undefined || all.includes(step)) return all;
  const message = `Execution ${executionId} has no step ${step}; there are ${all.join(', ')}.`;
  throw refusal(404, 'NOT_FOUND', message);
}

function logOptions({
  follow,
  attempt,
  item,
}: Pick<LogQuery, 'follow' | 'attempt' | 'item'>): object {
  return {
    ...(follow === undefined ? {} : { follow }),
    ...(attempt === undefined ? {} : { attempt }),
    ...(item === undefined ? {} : { item }),
  };
}

function noFile(step: string, name: string, there: readonly string[]): Error {
  const known = there.length === 0 ? 'none' : there.slice(0, 20).join(', ');
  return refusal(
    404,
    'NOT_FOUND',
    `Step ${step} has put out no file ${JSON.stringify(name)}; there are ${known}.`,
  );
}

function changes(
  verb: 'retry' | 'pause' | 'resume',
  summary: string,
  executionId: string,
): Route<OneExecution, Execution> {
  return {
    method: 'POST',
    path: `/pipelines/{pipeline}/runs/{executionId}/${verb}`,
    summary,
    permission: 'pipeline.run',
    answers: { as: 'json', schema: execution },
    example: { pipeline: 'train', executionId },
    async run({ services: { pipelines }, input }) {
      return pipelines[verb]((await executionOf(pipelines, input)).id);
    },
  };
}

async function* logsOf(
  pipelines: Pipelines,
  of: {
    readonly executionId: string;
    readonly steps: readonly string[];
    readonly options: object;
    readonly signal: AbortSignal;
  },
): AsyncGenerator<StreamMessage<WireLog>, void, undefined> {
  const { executionId, steps, options, signal } = of;
  for (const step of steps) {
    try {
      for await (const chunk of pipelines.logs(executionId, step, { ...options, signal })) {
        yield { event: 'log', data: { step, ...chunk } };
      }
    } catch (error) {
      // Of several steps, those that have written nothing have no log.
      if (steps.length === 1 || !isKeelsonError(error, 'NOT_FOUND')) throw error;
    }
  }
}
