import type { Scope } from '../../contracts/scope.ts';
import type { Json, JsonObject } from '../../json.ts';
import { type CompiledExpression, compileExpression } from '../../language/conditions.ts';
import type { Definitions } from '../definitions.ts';
import type { ExecutionState } from '../execution.ts';
import type { ExecutionRecords } from '../execution-records.ts';
import { attemptRunId, resultRunId, type StepState, type StoredOutput } from '../step-execution.ts';
import type { StepValues } from './step-values.ts';
import type { Begun } from './turn.ts';

/** Answers a question of fact that a condition asks, such as `registry("fraud@production")`. */
export type FactSource = (args: readonly Json[]) => Promise<Json>;

/** What conditions look at besides the execution, by the name of the call. */
export type ConditionFacts = Readonly<Record<string, FactSource>>;

/** Evaluates the conditions of steps. */
export interface StepConditions {
  /** Whether a step's `when` holds, over `parameters`, `outputs`, `metrics` and the facts that it asks for. */
  holds(source: string, state: StepState, execution: ExecutionState): Promise<boolean>;
  /** Why a step that repeats runs once more; undefined when it has come to its end. */
  repeats(begun: Begun, output: StoredOutput): Promise<string | undefined>;
  /** The condition that an item has met by which the others are ended. */
  stops(begun: Begun, output: StoredOutput): Promise<string | undefined>;
}

/** Conditions over the executions of the scope's workspace. */
export function createStepConditions(
  scope: Scope,
  records: ExecutionRecords,
  definitions: Definitions,
  values: StepValues,
  facts: ConditionFacts,
): StepConditions {
  const compiled = new Map<string, CompiledExpression>();

  function expression(source: string): CompiledExpression {
    let known = compiled.get(source);
    if (known === undefined) {
      known = compileExpression(source, { functions: Object.keys(facts) });
      if (compiled.size >= 1000) compiled.clear();
      compiled.set(source, known);
    }
    return known;
  }

  async function evaluate(source: string, variables: JsonObject): Promise<boolean> {
    const condition = expression(source);
    const answers = await Promise.all(
      condition.calls.map(({ name, args }) => (facts[name] as FactSource)(args)),
    );
    return condition.test(variables, answers);
  }

  /** What the steps have logged; those whose results were taken from earlier ones, what those had. */
  async function metricsOf(done: readonly StepState[]): Promise<JsonObject> {
    if (done.length === 0) return {};
    const runs = done.map((state) => [state.step, resultRunId(state)] as const);
    const summaries = await scope.series.summariesOf(scope.workspace, [
      ...new Set(runs.map(([, run]) => run)),
    ]);
    return Object.fromEntries(runs.map(([step, run]) => [step, lastOf(summaries.get(run))]));
  }

  async function ownMetrics({ state, attempt }: Begun): Promise<Json> {
    const run = attemptRunId(state.executionId, state.step, attempt, state.mapKey);
    return lastOf((await scope.series.summariesOf(scope.workspace, [run])).get(run));
  }

  async function outputOf(begun: Begun, output: StoredOutput): Promise<Json> {
    return values.readPacked({ ...begun.state, status: 'COMPLETED', output });
  }

  return {
    async holds(source, state, execution) {
      const { names } = expression(source);
      const variables: Record<string, Json> = { parameters: execution.parameters };
      if (names.includes('outputs') || names.includes('metrics')) {
        const loaded = await definitions.get(state.definition);
        const before = loaded.steps.get(state.step)?.dependsOn ?? [];
        const states = await records.stepsNamed(state.executionId, before);
        const done = states.filter(({ status }) => status === 'COMPLETED');
        if (names.includes('outputs')) {
          const read = done.map(
            async (each) => [each.step, await values.readPacked(each)] as const,
          );
          variables['outputs'] = Object.fromEntries(await Promise.all(read));
        }
        if (names.includes('metrics')) {
          variables['metrics'] = await metricsOf(done);
        }
      }
      return evaluate(source, variables);
    },

    async repeats(begun, output) {
      const { repeat } = begun.step;
      const iteration = begun.state.iteration ?? 1;
      if (repeat === undefined || iteration >= repeat.max) return undefined;
      const metrics = await ownMetrics(begun);
      const variables = { output: await outputOf(begun, output), metrics, iteration };
      if (await evaluate(repeat.until, variables)) return undefined;
      return `iteration ${iteration} of at most ${repeat.max}: not yet ${repeat.until}`;
    },

    async stops(begun, output) {
      const stopWhen = begun.step.forEach?.stopWhen;
      const { mapKey } = begun.state;
      if (stopWhen === undefined || mapKey === '') return undefined;
      const metrics = await ownMetrics(begun);
      const variables = { output: await outputOf(begun, output), metrics, index: Number(mapKey) };
      return (await evaluate(stopWhen, variables)) ? stopWhen : undefined;
    },
  };
}

function lastOf(summaries: ReadonlyMap<string, { readonly last: number }> | undefined): JsonObject {
  return Object.fromEntries([...(summaries ?? [])].map(([key, { last }]) => [key, last] as const));
}
