import type { ClaimKey } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { Json } from '../../json.ts';
import type { HeldStep } from '../changes/held-step.ts';
import type { StepDefinition } from '../definition.ts';
import { given } from '../execution.ts';
import type { ExecutionRecords } from '../execution-records.ts';
import { originOf } from '../lineage/step-edges.ts';
import { type StepState, stepLabel } from '../step-execution.ts';
import type { StepFailure } from '../step-policy.ts';
import type { StepCommits } from './step-commits.ts';
import type { StepValues } from './step-values.ts';

/** What joining needs. */
export interface JoinParts {
  readonly records: ExecutionRecords;
  readonly values: StepValues;
  readonly commits: StepCommits;
}

/**
 * Ends a step that has waited for others: a fan-out with the list of what its items have put out (null
 * where one has nothing), a step that asked for an execution with what that has put out.
 */
export async function joinStep(
  scope: Scope,
  { records, values, commits }: JoinParts,
  { state }: HeldStep,
  claim: () => ClaimKey,
  step: StepDefinition,
): Promise<void> {
  const joined =
    state.childExecutionId === undefined
      ? await itemValues(records, values, state, step)
      : await childValue(scope, records, values, state.childExecutionId);
  if ('failure' in joined) {
    await commits.fail(claim, state.attempt, { failure: joined.failure, final: joined.final });
    return;
  }
  const sink = values.sink(state, new AbortController().signal);
  const finished = await sink.finishPacked(joined.value);
  const { from } = joined;
  await commits.complete(claim, state.attempt, {
    ...finished,
    ...given('joined', from === undefined ? undefined : [from]),
  });
}

type Joined =
  /** `from` is the step whose value it is. */
  | { readonly value: Json; readonly from?: string }
  | { readonly failure: StepFailure; readonly final: boolean };

async function itemValues(
  records: ExecutionRecords,
  values: StepValues,
  state: StepState,
  step: StepDefinition,
): Promise<Joined> {
  const items = await records.items(state.executionId, state.step, state.items ?? 0);
  const failed = items.find((item) => item.status === 'FAILED');
  if (failed !== undefined && step.onFailure === 'skipDownstream') {
    const message = `${stepLabel(failed)} failed: ${failed.failure?.message ?? ''}`;
    const failure = failed.failure ?? { class: 'permanent', name: 'Error', message };
    return { failure: { ...failure, message }, final: true };
  }
  const list: Json[] = [];
  for (const item of items) {
    list.push(item.status === 'COMPLETED' ? await values.readPacked(item) : null);
  }
  return { value: list };
}

async function childValue(
  scope: Scope,
  records: ExecutionRecords,
  values: StepValues,
  childId: string,
): Promise<Joined> {
  const child = await records.get(childId);
  if (child.status === 'COMPLETED') {
    const output = await outputOf(scope, child.definition);
    const step = output === undefined ? undefined : await records.step(childId, output);
    if (step === undefined) return { value: null };
    return { value: await values.readPacked(step), from: originOf(step) };
  }
  const why = child.failure?.message ?? child.cancelReason ?? 'no reason was given';
  const message = `The execution ${childId} of ${child.pipeline} that it asked for is ${child.status}: ${why}`;
  const failure = { class: child.failure?.class ?? 'permanent', name: 'Error', message } as const;
  return { failure, final: child.status === 'CANCELLED' };
}

async function outputOf(scope: Scope, digest: string): Promise<string | undefined> {
  const left = { from: 'column', name: 'digest' } as const;
  const { records } = await scope.metadata.query(scope.workspace, 'pipeline', {
    where: { op: 'compare', left, cmp: '=', value: digest },
    limit: 1,
  });
  return records[0]?.body['output'] as string | undefined;
}
