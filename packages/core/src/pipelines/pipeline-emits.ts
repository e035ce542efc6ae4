import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import type { PipelineEventPayloads, ToldFailure } from '../events/catalogue/pipeline-events.ts';
import { draftEvent } from '../events/draft-event.ts';
import type { PayloadOf } from '../events/typed-event.ts';
import type { ExecutionState } from './execution.ts';
import type { StepState } from './step-execution.ts';
import type { StepFailure } from './step-policy.ts';

/** What changes are drawn up with. */
export type Author = Pick<Scope, 'clock' | 'ids' | 'principal'>;

/** The change that tells what has happened to an execution. */
export function executionEvent<T extends keyof PipelineEventPayloads>(
  author: Author,
  execution: Pick<ExecutionState, 'id' | 'pipeline'>,
  type: T,
  payload: Omit<PayloadOf<T>, 'executionId' | 'pipeline'>,
): Change {
  const { id, pipeline } = execution;
  const event = {
    type,
    subject: `execution:${id}`,
    source: 'pipelines',
    payload: { executionId: id, pipeline, ...payload } as unknown as PayloadOf<T>,
  };
  return { op: 'emit', event: draftEvent(author, event) };
}

/** The change that tells what has happened to a step, or to an item of it. */
export function stepEvent<T extends keyof PipelineEventPayloads>(
  author: Author,
  state: Pick<StepState, 'executionId' | 'pipeline' | 'step' | 'mapKey'>,
  type: T,
  payload: Omit<PayloadOf<T>, 'executionId' | 'pipeline' | 'step' | 'item'>,
): Change {
  const { executionId, pipeline, step, mapKey } = state;
  const item = mapKey === '' ? {} : { item: Number(mapKey) };
  const event = {
    type,
    subject: `step:${executionId}/${step}${mapKey === '' ? '' : `/${mapKey}`}`,
    source: 'pipelines',
    payload: { executionId, pipeline, step, ...item, ...payload } as unknown as PayloadOf<T>,
  };
  return { op: 'emit', event: draftEvent(author, event) };
}

/** A failure as events tell it: without the stack. */
export function toldFailure({
  stack: _,
  ...told
}: StepFailure & { readonly step?: string }): ToldFailure {
  return told;
}
