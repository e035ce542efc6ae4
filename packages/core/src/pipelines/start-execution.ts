import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { correlated, withCorrelation } from '../events/correlation.ts';
import { assertText, canonicalJson, type JsonObject } from '../json.ts';
import { commitChanges } from '../operations/decide-and-commit.ts';
import type { LoadedDefinition } from './definitions.ts';
import { type ExecutionState, type ExecutionTrigger, executionFromRecord } from './execution.ts';
import { equals } from './execution-records.ts';
import { resolveParameters } from './parameters.ts';
import { chunkSize, createStep, creationOrder } from './transitions.ts';

/** How an execution is started. */
export interface StartOptions {
  /** The highest one when left out. */
  readonly version?: string;
  /** Starting a pipeline again with the same key answers the execution that is there. */
  readonly idempotencyKey?: string;
  /** `API` when left out. */
  readonly trigger?: ExecutionTrigger;
  /** At most 50. */
  readonly tags?: Readonly<Record<string, string>>;
}

/** Creates an execution with its steps, or finds the one that has the key. */
export async function createExecution(
  scope: Scope,
  { definition, digest }: LoadedDefinition,
  given: JsonObject,
  options: StartOptions,
): Promise<ExecutionState> {
  const parameters = resolveParameters(definition, given);
  const { idempotencyKey, trigger = 'API', tags = {} } = options;
  if (idempotencyKey !== undefined) {
    assertText(idempotencyKey, 'An idempotency key', 255);
    const existing = await findByKey(scope, definition.name, idempotencyKey);
    if (existing !== undefined) return sameExecution(scope, existing, parameters);
  }
  assertTags(tags);
  return correlated(async ({ correlationId }) => {
    const id = scope.ids.next();
    const first = creationOrder(definition).slice(0, chunkSize);
    const total = definition.steps.length;
    const columns = {
      pipeline: definition.name,
      version: definition.version,
      definition: digest,
      status: 'PENDING',
      phase: first.length < total ? 'opening' : undefined,
      trigger,
      triggeredBy: scope.principal.id,
      idempotencyKey,
      correlationId,
      queuedAt: scope.clock.now(),
      totalSteps: total,
      createdSteps: first.length,
      openSteps: total,
      round: 1,
      runOpen: false,
    };
    const execution = { id, pipeline: definition.name, definition: digest, correlationId };
    try {
      await commitChanges(scope, [
        { op: 'create', kind: 'execution', id, columns, body: { parameters }, facets: { tags } },
        ...first.map((step) => createStep(execution, step)),
      ]);
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
