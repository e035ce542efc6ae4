import { assertObject } from '../check-options.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, type JsonObject } from '../json.ts';
import { checkDefinition } from './check-definition.ts';
import { digestDefinition, type PipelineDefinition, type StepDefinition } from './definition.ts';
import { assertKnown } from './known-options.ts';
import { type RetryOptions, retryPolicy } from './retry-options.ts';
import type {
  GivenParametersOf,
  InputValues,
  ParametersOf,
  Passable,
  StepFunction,
  StepHandle,
  StepInputs,
} from './step-types.ts';

/** How a step is run. */
export interface StepOptions {
  /** Further attempts after a failed one, or how they are spaced as well; none when left out. */
  readonly retries?: number | RetryOptions;
  /** For one attempt; none when left out. */
  readonly timeoutMs?: number;
  /** Steps that must have completed before, whose outputs it does not take. */
  readonly after?: readonly StepHandle[];
}

/** Adds steps to a pipeline that is being defined. */
export interface PipelineBuilder<P> {
  /**
   * Adds a step. `inputs` names the outputs of earlier steps that it takes; `run` gets their values.
   * Answers what later steps take this one's output by.
   */
  step<I extends StepInputs, O>(
    name: string,
    inputs: I,
    run: StepFunction<P, InputValues<I>, O & Passable<O>>,
    options?: StepOptions,
  ): StepHandle<O>;
}

/** What a pipeline is called and takes. */
export interface PipelineOptions<S extends JsonObject = JsonObject> {
  /** Semantic version; another definition needs another one. */
  readonly version: string;
  /**
   * JSON Schema (`type: 'object'`) of the parameters, with defaults. Written out literally it also gives
   * `parameters` its type.
   */
  readonly parameters?: S;
  readonly description?: string;
}

declare const types: unique symbol;

/** A pipeline with its functions: what `pipelines.add` registers and `pipelines.start` starts. */
export interface Pipeline<out Given = unknown, out O = unknown> {
  readonly definition: PipelineDefinition;
  /** What tells it from another definition of the same name and version. */
  readonly digest: string;
  readonly functions: ReadonlyMap<string, StepFunction<JsonObject, never, unknown>>;
  /** Only for the compiler. */
  readonly [types]?: { readonly given: Given; readonly output: O };
}

/**
 * Defines a pipeline: `build` adds its steps, and what it returns is the pipeline's output. A step can
 * take only what was added before it, so that there is nothing to run in a circle. INVALID, naming the
 * place, for names, versions, options and schemas that are none.
 */
export function definePipeline<const S extends JsonObject = JsonObject, O = undefined>(
  name: string,
  options: PipelineOptions<S>,
  // biome-ignore lint/suspicious/noConfusingVoidType: a pipeline may have no output
  build: (p: PipelineBuilder<ParametersOf<S>>) => StepHandle<O> | void,
): Pipeline<GivenParametersOf<S>, O> {
  assertText(name, 'A pipeline name', 255);
  assertObject(options, `Pipeline ${name}`);
  if (typeof build !== 'function') {
    throw new KeelsonError(
      'INVALID',
      `Pipeline ${name} takes a function that adds its steps, not a ${typeof build}.`,
    );
  }
  assertKnown(options, ['version', 'parameters', 'description'], `Pipeline ${name}`);
  const steps: StepDefinition[] = [];
  const functions = new Map<string, StepFunction<JsonObject, never, unknown>>();
  const own = new Set<StepHandle>();

  function nameOf(handle: StepHandle, where: string): string {
    if (own.has(handle)) return handle.step;
    throw new KeelsonError(
      'INVALID',
      `Pipeline ${name}, step ${where}: pass what p.step() of this pipeline returned.`,
    );
  }

  const output = build({
    step(step, inputs, run, settings = {}) {
      assertKnown(settings, ['retries', 'timeoutMs', 'after'], `Pipeline ${name}, step "${step}"`);
      const sources = Object.entries(inputs).map(([input, source]) => {
        const where = `"${step}", input "${input}"`;
        const from = Array.isArray(source)
          ? source.map((each: StepHandle) => ({ step: nameOf(each, where) }))
          : { step: nameOf(source as StepHandle, where) };
        return [input, { from }] as const;
      });
      const taken = sources.flatMap(([, { from }]) => from).map(({ step: other }) => other);
      const after = (settings.after ?? []).map((each) => nameOf(each, `"${step}", after`));
      steps.push({
        name: step,
        run: { type: 'function' },
        inputs: Object.fromEntries(sources),
        dependsOn: [...new Set([...taken, ...after])],
        retry: retryPolicy(settings.retries),
        ...(settings.timeoutMs === undefined ? {} : { timeoutMs: settings.timeoutMs }),
      });
      functions.set(step, run as unknown as StepFunction<JsonObject, never, unknown>);
      const handle = Object.freeze({ step });
      own.add(handle);
      return handle;
    },
  });

  const definition = checkDefinition({
    format: 1,
    name,
    version: options.version,
    description: options.description ?? '',
    ...(options.parameters === undefined ? {} : { parameters: options.parameters }),
    steps,
    ...(output === undefined ? {} : { output: nameOf(output as StepHandle, 'that it returns') }),
  });
  return { definition, digest: digestDefinition(definition), functions };
}
