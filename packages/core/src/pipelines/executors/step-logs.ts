import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { redactText } from '../../redaction.ts';
import { given } from '../execution.ts';
import type { ExecutionRecords } from '../execution-records.ts';
import { mapKeyOf, type StepState, stepExecutionId } from '../step-execution.ts';
import { attemptKey, type FunctionLog } from '../steps/function-logs.ts';
import type { ExternalSteps } from './external-work.ts';
import { readKeptLog, type StepLogChunk } from './log-store.ts';

/** Which log, and how much of it. */
export interface StepLogOptions {
  /** The last one when left out. */
  readonly attempt?: number;
  /** Of a fan-out: which item, 0 for the first. */
  readonly item?: number;
  /** Waits for what is still to be written; false when left out. */
  readonly follow?: boolean;
  readonly signal?: AbortSignal;
}

/** Reads logs of steps: of the executor while an attempt runs, afterwards the artifact that was kept. */
export function createStepLogs(
  scope: Scope,
  records: ExecutionRecords,
  external: ExternalSteps | undefined,
  functions: ReadonlyMap<string, FunctionLog>,
): (
  executionId: string,
  step: string,
  options: StepLogOptions,
) => AsyncGenerator<StepLogChunk, void, undefined> {
  async function stateOf(executionId: string, step: string, item?: number): Promise<StepState> {
    const mapKey = item === undefined ? '' : mapKeyOf(item);
    const state = await records.step(executionId, step, mapKey);
    if (state !== undefined) return state;
    await records.get(executionId);
    const which = item === undefined ? step : `${step}[${item}]`;
    throw new KeelsonError('NOT_FOUND', `Execution ${executionId} has no step ${which}.`);
  }

  async function keptOf(state: StepState, attempt: number): Promise<string | undefined> {
    if (state.log !== undefined && state.attempt === attempt) return state.log.sha256;
    const { records: found } = await scope.metadata.query(scope.workspace, 'step_output', {
      where: {
        op: 'and',
        of: [
          ...[
            ['executionId', state.executionId],
            ['step', state.step],
            ['name', `logs/a${attempt}.jsonl`],
          ].map(([name, value]) => ({
            op: 'compare' as const,
            left: { from: 'column' as const, name: name as string },
            cmp: '=' as const,
            value: value as string,
          })),
        ],
      },
      limit: 1000,
    });
    const part = state.mapKey === '' ? '' : `/items/${state.mapKey}/`;
    const mine = found.find(({ columns }) => {
      const path = String(columns['path']);
      return part === '' ? !path.includes('/items/') : path.includes(part);
    });
    return mine?.columns['sha256'] as string | undefined;
  }

  return async function* logs(executionId, step, options) {
    const { follow = false, signal, item } = options;
    const state = await stateOf(executionId, step, item);
    const attempt = options.attempt ?? state.attempt;
    const runs = state.status === 'RUNNING' && state.attempt === attempt;
    // A function that was ended may still be on its way out.
    const live =
      functions.get(attemptKey(state, attempt))?.read(follow, signal) ??
      (runs ? external?.logs(state, { follow, ...given('signal', signal) }) : undefined);
    if (live !== undefined) {
      for await (const { stream, at, text } of live) yield { stream, at, text: redactText(text) };
      return;
    }
    const kept = await keptOf(state, attempt);
    if (kept !== undefined) yield* readKeptLog(scope, kept, signal);
    else if (state.status === 'RUNNING' && state.runsOn.startsWith('executor:')) {
      throw new KeelsonError(
        'NOT_FOUND',
        `Attempt ${attempt} of step ${step} runs on ${state.runsOn}, which this process does not have; its log is kept when it ends.`,
        { details: { stepExecution: stepExecutionId(executionId, step) } },
      );
    }
  };
}
