import type { Scope } from '../contracts/scope.ts';
import type { PipelineCompleted } from '../events/catalogue/pipeline-events.ts';
import type { ExecutionState } from './execution.ts';
import { type ExecutionRecords, equals } from './execution-records.ts';
import type { ArtifactFacts } from './step-artifact.ts';
import { resultRunId, type StepState, stepLabel } from './step-execution.ts';

/** What an execution that has completed has put out, as far as its last event tells it. */
export type ExecutionOutcome = Pick<PipelineCompleted, 'artifacts' | 'metrics' | 'truncated'>;

/** The step whose completion ends the execution, before it is written down. */
export interface LastStep {
  readonly state: StepState;
  readonly artifacts: readonly ArtifactFacts[];
}

const maxArtifacts = 1000;
const maxSteps = 100;
/** Of the event's 1 MB; a figure takes some 50 bytes with its name. */
const maxFigures = 5000;

/** Reads what the steps of an execution have put out and logged: bounded, so that it fits into an event. */
export async function readOutcome(
  scope: Scope,
  records: Pick<ExecutionRecords, 'steps'>,
  execution: Pick<ExecutionState, 'id' | 'totalSteps'>,
  last?: LastStep,
): Promise<ExecutionOutcome> {
  const [outputs, steps] = await Promise.all([
    scope.metadata.query(scope.workspace, 'step_output', {
      where: equals('executionId', execution.id),
      limit: maxArtifacts,
    }),
    records.steps(execution.id, { statuses: ['COMPLETED'], limit: maxSteps }),
  ]);
  const artifacts = [
    ...outputs.records.map(({ columns }) => artifactOf(columns['step'], columns)),
    ...(last?.artifacts.map((artifact) => artifactOf(last.state.step, { ...artifact })) ?? []),
  ];
  const { metrics, all } = await metricsOf(scope, [
    ...steps,
    ...(last === undefined ? [] : [last.state]),
  ]);
  const truncated =
    !all ||
    outputs.cursor !== undefined ||
    artifacts.length > maxArtifacts ||
    (steps.length === maxSteps && execution.totalSteps > maxSteps);
  return {
    artifacts: artifacts.slice(0, maxArtifacts),
    metrics,
    ...(truncated ? { truncated } : {}),
  };
}

function artifactOf(
  step: unknown,
  from: Readonly<Record<string, unknown>>,
): ExecutionOutcome['artifacts'][number] {
  return { step: String(step), path: String(from['path']), sha256: String(from['sha256']) };
}

async function metricsOf(
  scope: Scope,
  steps: readonly StepState[],
): Promise<{ readonly metrics: ExecutionOutcome['metrics']; readonly all: boolean }> {
  const runs = steps.map((state) => [resultRunId(state), stepLabel(state)] as const);
  const ids = [...new Set(runs.map(([run]) => run))];
  const summaries = await scope.series.summariesOf(scope.workspace, ids);
  const metrics: Record<string, Readonly<Record<string, number>>> = {};
  let left = maxFigures;
  for (const [run, step] of runs) {
    const figures = [...(summaries.get(run) ?? [])].map(([key, { last }]) => [key, last] as const);
    if (figures.length === 0) continue;
    if (left === 0) return { metrics, all: false };
    metrics[step] = Object.fromEntries(figures.slice(0, left));
    if (figures.length > left) return { metrics, all: false };
    left -= figures.length;
  }
  return { metrics, all: true };
}
