import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { correlated, withCorrelation } from '../events/correlation.ts';
import { assertText, canonicalJson, type JsonObject } from '../json.ts';
import { commitChanges } from '../operations/decide-and-commit.ts';
import { chunkSize, createStep, creationOrder, type NewStep } from './changes/step-creation.ts';
import type { StepDefinition } from './definition.ts';
import type { LoadedDefinition } from './definitions.ts';
import {
  type ExecutionState,
  type ExecutionTrigger,
  executionFromRecord,
  given,
  type PartialRun,
} from './execution.ts';
import { type ExecutionRecords, equals } from './execution-records.ts';
import { resolveParameters } from './parameters.ts';
import { newSteps, type PartOptions, partOf } from './partial-run.ts';

/** How an execution is started. */
export interface StartOptions extends PartOptions {
  /** The highest one when left out. */
  readonly version?: string;
  /** Starting a pipeline again with the same key answers the execution that is there. */
  readonly idempotencyKey?: string;
  /** `API` when left out. */
  readonly trigger?: ExecutionTrigger;
  /** Steps of executions of higher ones are taken first: −1,000 to 1,000, 0 when left out. */
  readonly priority?: number;
  /** The execution is ended as failed when it takes longer; as the definition says when left out. */
  readonly timeoutMs?: number;
  /** At most 50. */
  readonly tags?: Readonly<Record<string, string>>;
}

/** What an execution is made with, once parameters and options are checked. */
export interface NewExecution {
  readonly id: string;
  readonly trigger: ExecutionTrigger;
  readonly correlationId: string;
  readonly idempotencyKey?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly priority?: number;
  readonly timeoutMs?: number;
  readonly partial?: PartialRun;
  readonly made?: (step: StepDefinition) => NewStep;
  /** The record of the step that waits for it, and that step's execution. */
  readonly parentStep?: string;
  readonly parentExecutionId?: string;
}

/** The changes that make an execution with its first steps. INVALID for parameters that do not fit. */
export function newExecution(
  scope: Pick<Scope, 'clock' | 'principal'>,
  { definition, digest }: LoadedDefinition,
  parameters: JsonObject,
  made: NewExecution,
): readonly Change[] {
  const { id, correlationId, priority = 0, partial, made: how = () => ({}) } = made;
  const resolved = resolveParameters(definition, parameters);
  const first = creationOrder(definition).slice(0, chunkSize);
  const total = definition.steps.length;
  const timeoutMs = made.timeoutMs ?? definition.timeoutMs;
  const columns = {
    pipeline: definition.name,
    version: definition.version,
    definition: digest,
    status: 'PENDING',
    phase: first.length < total ? 'opening' : undefined,
    trigger: made.trigger,
    triggeredBy: scope.principal.id,
    idempotencyKey: made.idempotencyKey,
    correlationId,
    queuedAt: scope.clock.now(),
    totalSteps: total,
    createdSteps: first.length,
    openSteps: partial === undefined ? total : partial.steps.length,
    round: 1,
    runOpen: false,
    priority: priority === 0 ? undefined : priority,
    parentStep: made.parentStep,
  };
  const body = {
    parameters: resolved,
    ...given('timeoutMs', timeoutMs),
    ...given('parentExecutionId', made.parentExecutionId),
    ...given('partial', partial && { ...partial }),
  };
  const execution = {
    id,
    pipeline: definition.name,
    definition: digest,
    correlationId,
    priority,
    triggeredBy: scope.principal.id,
  };
  return [
    {
      ...{ op: 'create', kind: 'execution', id, columns },
      ...{ body: body as JsonObject, facets: { tags: made.tags ?? {} } },
    },
    ...first.map((step) => createStep(execution, step, how(step))),
  ];
}

/** Creates an execution with its steps, or finds the one that has the key. */
export async function createExecution(
  scope: Scope,
  records: ExecutionRecords,
  loaded: LoadedDefinition,
  asked: JsonObject,
  options: StartOptions,
): Promise<ExecutionState> {
  const { definition } = loaded;
  const parameters = resolveParameters(definition, asked);
  const { idempotencyKey, trigger = 'API', tags = {}, priority, timeoutMs } = options;
  if (idempotencyKey !== undefined) {
    assertText(idempotencyKey, 'An idempotency key', 255);
    const existing = await findByKey(scope, definition.name, idempotencyKey);
    if (existing !== undefined) return sameExecution(scope, existing, parameters);
  }
  assertTags(tags);
  const partial = partOf(definition, options);
  const made = await newSteps(records, definition, partial);
  return correlated(async ({ correlationId }) => {
    const id = scope.ids.next();
    const changes = newExecution(scope, loaded, parameters, {
      ...{ id, trigger, correlationId, tags, made },
      ...given('idempotencyKey', idempotencyKey),
      ...given('priority', priority),
      ...given('timeoutMs', timeoutMs),
      ...given('partial', partial),
    });
    try {
      await commitChanges(scope, changes);
    } catch (error) {
      const taken = idempotencyKey !== undefined && isKeelsonError(error, 'CONFLICT');
      const other = taken ? await findByKey(scope, definition.name, idempotencyKey) : undefined;
      if (other === undefined) throw error;
      return sameExecution(scope, other, parameters);
    }
    const record = await scope.metadata.find(scope.workspace, 'execution', id, {
      facets: ['tags'],
    });
    if (record === undefined) throw new KeelsonError('INTERNAL', `Execution ${id} vanished.`);
    return executionFromRecord(record);
  });
}

async function findByKey(
  scope: Scope,
  pipeline: string,
  key: string,
): Promise<ExecutionState | undefined> {
  const { records } = await scope.metadata.query(scope.workspace, 'execution', {
    where: { op: 'and', of: [equals('pipeline', pipeline), equals('idempotencyKey', key)] },
    limit: 1,
    facets: ['tags'],
  });
  return records[0] && executionFromRecord(records[0]);
}

function sameExecution(
  scope: Scope,
  execution: ExecutionState,
  parameters: JsonObject,
): ExecutionState {
  if (canonicalJson(execution.parameters) !== canonicalJson(parameters)) {
    const { id, pipeline, idempotencyKey } = execution;
    withCorrelation({ correlationId: execution.correlationId }, () =>
      scope.logger.warn(
        { component: 'pipelines', executionId: id },
        `Pipeline ${pipeline} was started again with the key ${idempotencyKey} but other parameters; the execution that is there keeps its own.`,
      ),
    );
  }
  return execution;
}

function assertTags(tags: Readonly<Record<string, string>>): void {
  const entries = Object.entries(tags);
  if (entries.length > 50) {
    throw new KeelsonError('INVALID', `An execution has at most 50 tags, not ${entries.length}.`);
  }
  for (const [key, value] of entries) {
    assertText(key, 'A tag', 255);
    assertText(value, `Tag ${key}`, 5000);
  }
}
