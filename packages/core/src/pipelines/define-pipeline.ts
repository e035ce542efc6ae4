import { assertObject } from '../check-options.ts';
import type { Resources } from '../contracts/executor.ts';
import { KeelsonError } from '../errors.ts';
import { asJson, assertText, type Json, type JsonObject } from '../json.ts';
import { checkDefinition } from './check-definition.ts';
import {
  digestDefinition,
  type InputSource,
  type PipelineDefinition,
  type ScheduleDefinition,
  type StepDefinition,
  type StepInput,
  type TriggerDefinition,
} from './definition.ts';
import { assertKnown } from './known-options.ts';
import { retryPolicy } from './retry-options.ts';
import { definedFields, type ForEachOptions, moduleRun, type StepOptions } from './step-options.ts';
import type {
  GivenParametersOf,
  InputValues,
  Join,
  OutputsOf,
  ParametersOf,
  Returned,
  Settled,
  StepContext,
  StepFunction,
  StepHandle,
  StepInputs,
  ValueHandle,
} from './step-types.ts';

/** Adds steps to a pipeline that is being defined. */
export interface PipelineBuilder<P> {
  /**
   * Adds a step. `inputs` names the outputs of earlier steps that it takes; `run` gets their values.
   * Answers what later steps take this one's output by.
   */
  step<I extends StepInputs, R, J extends Join = 'completed'>(
    name: string,
    inputs: I,
    run: (context: StepContext<P, InputValues<I, J>>) => R & Returned<R>,
    options?: StepOptions<J>,
  ): StepHandle<Settled<Awaited<R>>>;
  /**
   * Adds a step that runs once for each item of a list which is known only at run time; `run` gets the item
   * as the input `item`. Its output is the list of what the items put out, in their order, with null for
   * an item that was ended early or whose failure was tolerated.
   */
  forEach<T, I extends StepInputs, R, const Q extends ForEachOptions>(
    name: string,
    items: ValueHandle<readonly T[] | undefined>,
    inputs: I,
    run: (context: StepContext<P, InputValues<I> & { readonly item: T }>) => R & Returned<R>,
    options?: Q,
  ): StepHandle<ItemsOf<Settled<Awaited<R>>, Q>>;
  /**
   * Adds a step that runs an export of a module: here (`inline`), in a thread or in a process of its own. `O` is
   * what it returns.
   */
  module<O = unknown>(
    name: string,
    inputs: StepInputs,
    run: ModuleRun,
    options?: StepOptions,
  ): StepHandle<O>;
  /** Adds a step that runs a command on this machine; its outputs are the files that it declares. */
  command<const Q extends OutputPorts = Record<never, never>>(
    name: string,
    inputs: StepInputs,
    command: readonly string[],
    options?: StepOptions & TaskOptions<Q> & CommandOptions,
  ): StepHandle<OutputsOf<Q>>;
  /** Adds a step that runs a container; its outputs are the files that it declares. */
  image<const Q extends OutputPorts = Record<never, never>>(
    name: string,
    inputs: StepInputs,
    run: ImageRun,
    options?: StepOptions & TaskOptions<Q>,
  ): StepHandle<OutputsOf<Q>>;
  /** A parameter, for a step to take as an input. */
  parameter<K extends keyof P & string>(name: K): ValueHandle<P[K]>;
  /** A value that is written out, for a step to take as an input. */
  value<const T extends Json>(value: T): ValueHandle<T>;
}

/** The list that the items of a fan-out make. */
export type ItemsOf<O, Q> = Q extends
  | { readonly stopWhen: string }
  | { readonly onFailure: 'continue' }
  ? readonly (O | null)[]
  : readonly O[];

/** Which export of which module. */
export interface ModuleRun {
  /** A URL, or a path below the working directory, or a package's specifier. */
  readonly module: string | URL;
  readonly export: string;
  /** `inline` when left out. */
  readonly isolation?: 'inline' | 'thread' | 'process';
}

/** Which image, and what in it. */
export interface ImageRun {
  readonly image: string;
  /** The image's own when left out. */
  readonly command?: readonly string[];
  /** None when left out. */
  readonly network?: 'none' | 'bridge';
}

/** Declared outputs by name. */
export type OutputPorts = NonNullable<StepDefinition['outputs']>;

/** What a task of an executor may be given besides. */
export interface TaskOptions<Q extends OutputPorts> {
  /** The files that it writes: see `KEELSON_OUTPUT_<NAME>_PATH`. */
  readonly outputs?: Q;
}

/** What a command may be given besides. */
export interface CommandOptions {
  readonly cwd?: string;
  /** Files whose contents are part of what the command is: with them, its results are cached. */
  readonly files?: readonly string[];
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
  /** For steps that say nothing themselves. */
  readonly resourceDefaults?: Resources;
  /** An execution is ended as failed when it takes longer, from its start. */
  readonly timeoutMs?: number;
  readonly schedule?: ScheduleDefinition;
  readonly triggers?: readonly TriggerDefinition[];
  /** At most 20. */
  readonly tags?: Readonly<Record<string, string>>;
}

const pipelineOptions = [
  ...['version', 'parameters', 'description', 'resourceDefaults', 'timeoutMs'],
  ...['schedule', 'triggers', 'tags'],
];

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
  assertKnown(options, pipelineOptions, `Pipeline ${name}`);
  const building = new Building(name);
  const output = build(building as unknown as PipelineBuilder<ParametersOf<S>>);
  const { version, description = '', ...rest } = options;
  const definition = checkDefinition({
    format: 1,
    name,
    version,
    description,
    ...definedFields(rest),
    steps: building.steps,
    ...(output === undefined ? {} : { output: building.stepOf(output, 'that it returns') }),
  });
  return { definition, digest: digestDefinition(definition), functions: building.functions };
}

type AnyFunction = StepFunction<JsonObject, never, unknown>;

/** A pipeline in the making. */
class Building {
  readonly steps: StepDefinition[] = [];
  readonly functions = new Map<string, AnyFunction>();
  readonly #name: string;
  readonly #own = new Set<unknown>();

  constructor(name: string) {
    this.#name = name;
  }

  step(name: string, inputs: StepInputs, run: AnyFunction, options: StepOptions = {}): StepHandle {
    const { version } = options;
    return this.#add(name, inputs, options, ['version'], {
      run: { type: 'function', ...definedFields({ version }) },
      call: this.#function(name, run),
    });
  }

  forEach(
    name: string,
    items: ValueHandle,
    inputs: StepInputs,
    run: AnyFunction,
    options: ForEachOptions = {},
  ): StepHandle {
    const { version, maxParallel, stopWhen } = options;
    const own = ['version', 'maxParallel', 'stopWhen'];
    return this.#add(name, inputs, options, own, {
      run: { type: 'function', ...definedFields({ version }) },
      forEach: {
        items: this.#sourceOf(items, `"${name}", its list`),
        as: 'item',
        ...definedFields({ maxParallel, stopWhen }),
      },
      call: this.#function(name, run),
    });
  }

  module(name: string, inputs: StepInputs, run: ModuleRun, options: StepOptions = {}): StepHandle {
    assertObject(run, this.#at(name));
    assertKnown(run, ['module', 'export', 'isolation'], this.#at(name));
    return this.#add(name, inputs, options, [], { run: moduleRun(run) });
  }

  command(
    name: string,
    inputs: StepInputs,
    command: readonly string[],
    options: StepOptions & CommandOptions = {},
  ): StepHandle {
    const { cwd, files, version } = options;
    const run = { type: 'command', command, ...definedFields({ cwd, files, version }) } as const;
    return this.#add(name, inputs, options, ['cwd', 'files', 'version'], { run });
  }

  image(name: string, inputs: StepInputs, run: ImageRun, options: StepOptions = {}): StepHandle {
    assertObject(run, this.#at(name));
    assertKnown(run, ['image', 'command', 'network'], this.#at(name));
    return this.#add(name, inputs, options, [], { run: { type: 'image', ...run } });
  }

  parameter(name: string): ValueHandle {
    return this.#handle({ source: { parameter: assertText(name, 'A parameter', 255) } });
  }

  value(value: unknown): ValueHandle {
    return this.#handle({ source: { value: asJson(value, 'value') } });
  }

  /** The step that a handle stands for. */
  stepOf(handle: unknown, where: string): string {
    const source = this.#sourceOf(handle, where);
    if ('step' in source && source.output === undefined) return source.step;
    throw this.#foreign(where);
  }

  #add(
    name: string,
    inputs: StepInputs,
    options: StepOptions,
    extra: readonly string[],
    made: Pick<StepDefinition, 'run' | 'forEach'> & { readonly call?: AnyFunction },
  ): StepHandle {
    const known = [...stepOptions, ...extra];
    assertKnown(assertObject(options, this.#at(name)), known, this.#at(name));
    const ports = Object.entries(assertObject(inputs, this.#at(name))).map(
      ([input, source]) => [input, this.#input(source, `"${name}", input "${input}"`)] as const,
    );
    const after = (options.after ?? []).map((each) => this.stepOf(each, `"${name}", after`));
    const { call, run, forEach } = made;
    const sources: readonly InputSource[] = [
      ...ports.flatMap(([, { from }]) => from),
      ...(forEach === undefined ? [] : [forEach.items]),
    ];
    const taken = sources.flatMap((source) => ('step' in source ? [source.step] : []));
    const { retries, after: _, version: __, ...rest } = options;
    const fields = Object.entries(rest).filter(([key]) => !extra.includes(key));
    this.steps.push({
      name,
      run,
      inputs: Object.fromEntries(ports),
      dependsOn: [...new Set([...taken, ...after])],
      retry: retryPolicy(retries),
      ...definedFields(Object.fromEntries(fields)),
      ...(forEach === undefined ? {} : { forEach }),
    });
    if (call !== undefined) this.functions.set(name, call);
    return this.#handle({
      source: { step: name },
      step: name,
      pick: (field: string) =>
        this.#handle({ source: { step: name, output: assertText(field, 'A field', 255) } }),
    });
  }

  #input(source: unknown, where: string): StepInput {
    return Array.isArray(source)
      ? { from: source.map((each) => this.#sourceOf(each, where)) }
      : { from: this.#sourceOf(source, where) };
  }

  #sourceOf(handle: unknown, where: string): InputSource {
    if (this.#own.has(handle)) return (handle as ValueHandle).source;
    throw this.#foreign(where);
  }

  #foreign(where: string): KeelsonError {
    return new KeelsonError(
      'INVALID',
      `Pipeline ${this.#name}, step ${where}: pass what p.step() of this pipeline returned.`,
    );
  }

  #handle<H extends object>(handle: H): H {
    Object.freeze(handle);
    this.#own.add(handle);
    return handle;
  }

  #function(name: string, run: AnyFunction): AnyFunction {
    if (typeof run === 'function') return run;
    throw new KeelsonError('INVALID', `${this.#at(name)} takes a function, not a ${typeof run}.`);
  }

  #at(step: string): string {
    return `Pipeline ${this.#name}, step "${step}"`;
  }
}

const stepOptions = [
  ...['retries', 'timeoutMs', 'after', 'when', 'join', 'resources', 'cache', 'env', 'onFailure'],
  ...['priority', 'repeat', 'outputs', 'executor', 'distributed', 'description'],
];
