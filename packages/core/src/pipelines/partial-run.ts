import { KeelsonError } from '../errors.ts';
import type { NewStep } from './changes/step-creation.ts';
import type { PipelineDefinition, StepDefinition } from './definition.ts';
import type { PartialRun } from './execution.ts';
import type { ExecutionRecords } from './execution-records.ts';
import { dependentsOf } from './step-graph.ts';

/** Which part of a pipeline is to run. */
export interface PartOptions {
  /** This step and all that depend on it. */
  readonly from?: string;
  /** This step and all that it depends on. */
  readonly until?: string;
  /** This step alone. */
  readonly only?: string;
  /** The execution whose outputs stand for those of the steps before. */
  readonly reuse?: string;
}

/** The steps that such a part has, undefined for all. INVALID, naming it, for a step that there is none of. */
export function partOf(
  definition: PipelineDefinition,
  { from, until, only, reuse }: PartOptions,
): PartialRun | undefined {
  const names = definition.steps.map((step) => step.name);
  for (const name of [from, until, only]) {
    if (name === undefined || names.includes(name)) continue;
    throw new KeelsonError(
      'INVALID',
      `Pipeline ${definition.name}@${definition.version} has no step ${JSON.stringify(name)}; it has ${names.slice(0, 20).join(', ')}.`,
    );
  }
  if (only !== undefined && (from !== undefined || until !== undefined)) {
    throw new KeelsonError('INVALID', 'Give `only`, or `from` and `until`, not both.');
  }
  if (from === undefined && until === undefined && only === undefined) return undefined;
  const byName = new Map(definition.steps.map((step) => [step.name, step]));
  const dependents = dependentsOf(definition.steps);
  const after = from === undefined ? names : reached(from, (name) => dependents.get(name) ?? []);
  const before =
    until === undefined ? names : reached(until, (name) => byName.get(name)?.dependsOn ?? []);
  const asked = new Set(only === undefined ? after.filter((n) => before.includes(n)) : [only]);
  const steps = names.filter((name) => asked.has(name));
  if (steps.length === 0) {
    throw new KeelsonError(
      'INVALID',
      `No step of ${definition.name} lies between ${from} and ${until}: ${until} does not depend on ${from}.`,
    );
  }
  const lacking = definition.steps
    .filter((step) => asked.has(step.name))
    .flatMap((step) => step.dependsOn.filter((name) => !asked.has(name)));
  if (lacking.length > 0 && reuse === undefined) {
    throw new KeelsonError(
      'INVALID',
      `The steps before this part (${[...new Set(lacking)].join(', ')}) do not run; say with \`reuse\` in which execution they have.`,
      { details: { steps: [...new Set(lacking)] } },
    );
  }
  return { steps, ...(reuse === undefined ? {} : { reuse }) };
}

/** Those of a step's dependents that run in this execution. */
export function dependentsIn(
  { partial }: { readonly partial?: PartialRun },
  dependents: readonly string[],
): readonly string[] {
  if (partial === undefined) return dependents;
  return dependents.filter((name) => partial.steps.includes(name));
}

function reached(start: string, next: (name: string) => readonly string[]): readonly string[] {
  const seen = new Set([start]);
  for (const name of seen) for (const other of next(name)) seen.add(other);
  return [...seen];
}

/**
 * How each step's record is made: all that do not run are skipped, and those before the part have what they
 * put out in the execution that is reused. NOT_FOUND, naming the step, when it has not completed there.
 */
export async function newSteps(
  records: Pick<ExecutionRecords, 'stepsNamed' | 'get'>,
  definition: PipelineDefinition,
  partial: PartialRun | undefined,
): Promise<(step: StepDefinition) => NewStep> {
  if (partial === undefined) return () => ({});
  const asked = new Set(partial.steps);
  const before = new Set(
    definition.steps
      .filter((step) => asked.has(step.name))
      .flatMap((step) => step.dependsOn.filter((name) => !asked.has(name))),
  );
  const earlier = await earlierSteps(records, definition, partial, [...before]);
  return (step) => {
    if (asked.has(step.name)) {
      return { waits: step.dependsOn.filter((name) => asked.has(name)).length };
    }
    const reused = earlier.get(step.name);
    return reused === undefined ? { status: 'SKIPPED', skip: 'partial' } : { reused };
  };
}

async function earlierSteps(
  records: Pick<ExecutionRecords, 'stepsNamed' | 'get'>,
  definition: PipelineDefinition,
  { reuse }: PartialRun,
  names: readonly string[],
) {
  if (reuse === undefined || names.length === 0) return new Map();
  const execution = await records.get(reuse);
  if (execution.pipeline !== definition.name) {
    throw new KeelsonError(
      'INVALID',
      `Execution ${reuse} is one of ${execution.pipeline}, not of ${definition.name}: its outputs cannot be reused.`,
    );
  }
  const states = new Map(
    (await records.stepsNamed(reuse, names)).map((state) => [state.step, state]),
  );
  for (const name of names) {
    const state = states.get(name);
    if (state?.status === 'COMPLETED') continue;
    throw new KeelsonError(
      'NOT_FOUND',
      `Step ${name} has not completed in execution ${reuse} (it is ${state?.status ?? 'not there'}), so that its output cannot be reused.`,
      { details: { step: name, executionId: reuse } },
    );
  }
  return states;
}
