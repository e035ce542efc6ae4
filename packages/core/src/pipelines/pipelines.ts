import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assertObject } from '../check-options.ts';
import type { DownloadCache } from '../contracts/download-cache.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { withCorrelation } from '../events/correlation.ts';
import { assertText, type JsonObject } from '../json.ts';
import { assertAllowed, decideAndCommit } from '../operations/decide-and-commit.ts';
import { describeOwner } from '../process-owner.ts';
import { createAdmissions, type QueuedStep, type UserLimits } from './admission/admission.ts';
import { type PoolUse, poolUses } from './admission/pool-uses.ts';
import { createPools } from './admission/pools.ts';
import type { KeyParts } from './cache/explain-key.ts';
import { createStepCaching } from './cache/step-caching.ts';
import { checkDefinition } from './check-definition.ts';
import { createStepCheckpoints } from './checkpoints/step-checkpoints.ts';
import type { Pipeline } from './define-pipeline.ts';
import { digestDefinition, type PipelineDefinition, runsOn } from './definition.ts';
import { createDefinitions, type LoadedDefinition } from './definitions.ts';
import { StepEngine } from './engine.ts';
import { type Execution, type ExecutionState, executionFromRecord, given } from './execution.ts';
import { replaceExecution, stopExecution } from './execution-changes.ts';
import { column, createExecutionRecords, equals } from './execution-records.ts';
import { assertExecutionMove, type ExecutionStatus, hasEnded } from './execution-state.ts';
import type { ExecutorsHere } from './executors/executors-here.ts';
import { createExternalSteps } from './executors/external-steps.ts';
import type { StepLogChunk } from './executors/log-store.ts';
import { createStepLogs, type StepLogOptions } from './executors/step-logs.ts';
import type { FunctionLog } from './function-logs.ts';
import { assertKnown } from './known-options.ts';
import { createModuleLoader } from './module-loader.ts';
import { createPipelineLoop } from './pipeline-loop.ts';
import { createRunLink, type RunTracker } from './run-link.ts';
import { createSchedules, type Schedules } from './schedules/schedules.ts';
import { createTriggers, type Subscribe, type Triggers } from './schedules/triggers.ts';
import { createSettling } from './settling.ts';
import { createExecution, type StartOptions } from './start-execution.ts';
import { type ArtifactFacts, StepArtifact } from './step-artifact.ts';
import { createStepAttempts } from './step-attempts.ts';
import { createStepCommits } from './step-commits.ts';
import { type ConditionFacts, createStepConditions } from './step-conditions.ts';
import type { CachedFrom, StepExecution, StepProgress, StepState } from './step-execution.ts';
import { StepFunctions } from './step-functions.ts';
import { StepLeases } from './step-leases.ts';
import { createStepTurns } from './step-turn.ts';
import { createStepValues } from './step-values.ts';
import { createStopSiblings } from './stop-siblings.ts';
import { type WaitOptions, waitForExecution } from './waiting.ts';

declare const outputType: unique symbol;

/** An execution whose output has a type that the compiler knows. */
export interface TypedExecution<out O> extends Execution {
  /** Only for the compiler. */
  readonly [outputType]?: O;
}

/** An execution that has ended. */
export interface EndedExecution<out O = unknown> extends Execution {
  /** What the pipeline's output step has put out, if the execution completed and there is one. */
  readonly output?: O;
}

/** What a completed step has put out. */
export interface StepOutput {
  /** What it returned, artifacts ready to be opened. */
  readonly value: unknown;
  /** By name, those included that it did not return. */
  readonly artifacts: Readonly<Record<string, StepArtifact>>;
}

/** Whether a step's result was taken from an earlier one, and why. */
export interface CacheExplanation {
  /** `off` where the step is not cached. */
  readonly outcome: 'hit' | 'miss' | 'off';
  readonly explanation: string;
  readonly key?: string;
  /** What the key is made of. */
  readonly parts?: KeyParts;
  readonly cachedFrom?: CachedFrom;
}

/** Pipelines and their executions. */
export interface Pipelines {
  /**
   * Registers a pipeline's functions, so that this process can run its steps; the definition is stored at
   * the first start. CONFLICT when this process has another definition of that name and version.
   */
  add(pipeline: Pipeline): void;
  /**
   * Stores a definition, from `definePipeline` or as JSON, and answers its digest. INVALID, naming the
   * place, for one that cannot work; CONFLICT when its name and version have another definition.
   */
  putDefinition(definition: Pipeline | PipelineDefinition): Promise<string>;
  /** The definition of the version, or of the highest one. NOT_FOUND when there is none. */
  getDefinition(name: string, version?: string): Promise<PipelineDefinition>;

  /** Starts an execution; its steps are run by `wait`, and by the loops of any process. */
  start<G, O>(
    pipeline: Pipeline<G, O>,
    ...rest: Record<never, never> extends G
      ? [parameters?: G, options?: StartOptions]
      : [parameters: G, options?: StartOptions]
  ): Promise<TypedExecution<O>>;
  start(pipeline: string, parameters?: JsonObject, options?: StartOptions): Promise<Execution>;
  /** NOT_FOUND when there is none. */
  get(id: string): Promise<Execution>;
  find(id: string): Promise<Execution | undefined>;
  /** Newest first. */
  list(options?: {
    readonly pipeline?: string;
    readonly status?: ExecutionStatus;
    readonly correlationId?: string;
    readonly limit?: number;
    readonly cursor?: string;
  }): Promise<{ readonly executions: readonly Execution[]; readonly cursor?: string }>;
  /** The steps of an execution, in the order of the definition; of a fan-out, the step itself. */
  steps(executionId: string): Promise<readonly StepExecution[]>;
  /** The items of a fan-out that are there, in their order. NOT_FOUND for a step that there is none of. */
  items(executionId: string, step: string): Promise<readonly StepExecution[]>;
  /**
   * Resolves when the execution has ended, FAILED and CANCELLED included; look at `status`. Meanwhile this
   * process runs what it can of it.
   */
  wait<O = unknown>(
    execution: string | TypedExecution<O>,
    options?: WaitOptions,
  ): Promise<EndedExecution<O>>;
  /**
   * Ends an execution: nothing more starts, what runs is aborted, and its results are not taken. CONFLICT
   * when it has completed or failed; one that is cancelled stays so.
   */
  cancel(id: string, reason?: string): Promise<Execution>;
  /** Nothing of it starts any more until `resume`; what runs, ends. CONFLICT when it has ended. */
  pause(id: string): Promise<Execution>;
  /** Undoes `pause`. */
  resume(id: string): Promise<Execution>;
  /**
   * Puts a FAILED or CANCELLED execution back to PENDING: steps that completed stay, the others run.
   * CONFLICT in any other status.
   */
  retry(id: string): Promise<Execution>;
  /** What a step has put out. NOT_FOUND when it has not completed. */
  outputs(executionId: string, step: string): Promise<StepOutput>;
  /**
   * The artifacts of a step by name, also of one that failed, where its failure kept some ({@link StepError}): those
   * are `failed/a<attempt>/<name>`.
   */
  artifacts(executionId: string, step: string): Promise<Readonly<Record<string, StepArtifact>>>;
  /**
   * What a command has written or a function has logged, in order; with `follow` also what it will write, to the end of its
   * attempt. NOT_FOUND for a step that there is none of, or whose log cannot be had from this process.
   */
  logs(executionId: string, step: string, options?: StepLogOptions): AsyncIterable<StepLogChunk>;
  /** The steps that could start and wait, in the order in which they will, each with why: at most 1,000. */
  queue(of?: { readonly executionId?: string }): Promise<readonly QueuedStep[]>;
  /** Whether a step's result was taken from an earlier one, and why, or why not. NOT_FOUND when there is no such step. */
  explainCache(executionId: string, step: string): Promise<CacheExplanation>;
  /** Forgets kept results, of one pipeline or step where named; answers how many. */
  clearCache(of?: { readonly pipeline?: string; readonly step?: string }): Promise<number>;
  /** The machines that steps run on: what they have, what of it is taken, and by which steps. */
  resources(): Promise<readonly PoolUse[]>;
  /** Starts by the clock. */
  readonly schedules: Schedules;
  /** Starts by events and webhooks. */
  readonly triggers: Triggers;
  readonly loops: readonly Loop[];
  /** Stops running steps here and gives them back, so that another process may go on at once. */
  close(): Promise<void>;
}

/** How room on machines is shared out. */
export interface ResourceLimits {
  readonly perUser?: UserLimits;
  /**
   * When a step has waited so long for room, smaller ones behind it that would take it are held back; 60,000 when
   * left out.
   */
  readonly holdBackMs?: number;
}

/** What pipelines may be given beside their scope. */
export interface PipelinesOptions {
  /** Runs of tracking stand for executions and attempts when given; `platform.tracking` fits. */
  readonly tracker?: RunTracker;
  /** Shared by all services of one platform, so that what was added to one can be run by each. */
  readonly functions?: StepFunctions;
  /** Functions that run at once in this process; 4 when left out. */
  readonly concurrency?: number;
  /** Tasks of executors that this process watches over at once; 64 when left out. */
  readonly supervised?: number;
  /** Where modules of steps that are named by a relative path lie; the working directory when left out. */
  readonly modulesRoot?: string;
  /** What conditions may ask besides the execution itself. */
  readonly facts?: ConditionFacts;
  /** Bounds for what users may have at once of what is reserved. */
  readonly limits?: ResourceLimits;
  /** Events, for triggers; there are none when left out. */
  readonly events?: {
    readonly subscribe: Subscribe;
    readonly removeSubscription: (name: string) => Promise<void>;
  };
  /** What steps that are no functions run on; none when left out. */
  readonly executors?: ExecutorsHere;
  /** Copies of contents on this machine, which their inputs are staged through; none when left out. */
  readonly downloads?: DownloadCache;
  /** Where files of such steps lie while they run; below the system's temporary directory when left out. */
  readonly workRoot?: string;
  /** 10,000 when left out; renewed each third of it. */
  readonly leaseMs?: number;
  /**
   * How long a step is left to a process of this host that lives but does not renew its lease, because it
   * computes without a pause or was stopped; ten minutes when left out.
   */
  readonly patienceMs?: number;
  /** How many processes may die around one step before it counts as failed; 50 when left out. */
  readonly lossLimit?: number;
}

/** Pipelines, bound to a workspace and a principal. */
export function createPipelines(scope: Scope, options: PipelinesOptions = {}): Pipelines {
  const { metadata, workspace } = scope;
  const functions = options.functions ?? new StepFunctions();
  const records = createExecutionRecords(scope);
  const definitions = createDefinitions(scope, async (definition) => {
    await timed.follow(definition);
    await triggered?.follow(definition);
  });
  const settling = createSettling(scope, records, definitions);
  const values = createStepValues(scope, records);
  const progress = new Map<string, StepProgress>();
  const functionLogs = new Map<string, FunctionLog>();
  const link = createRunLink(scope, records, options.tracker);
  const owner = { ...describeOwner(), engine: scope.ids.next() };
  const conditions = createStepConditions(scope, records, definitions, values, options.facts ?? {});
  const { limits } = options;
  const loadModule = createModuleLoader(options.modulesRoot);
  const caching = createStepCaching(scope, {
    ...{ records, loadModule },
    ...given('executors', options.executors),
    ...given('modulesRoot', options.modulesRoot),
  });
  const pools = createPools(scope);
  const admissions =
    options.executors &&
    createAdmissions(scope, {
      executors: options.executors,
      pools,
      definitions,
      ...given('perUser', limits?.perUser),
      ...given('holdBackMs', limits?.holdBackMs),
    });
  const checkpoints = createStepCheckpoints(scope, records);
  const external =
    options.executors &&
    createExternalSteps(scope, {
      executors: options.executors,
      ...{ records, checkpoints },
      ...given('downloads', options.downloads),
      progress,
      workRoot: options.workRoot ?? join(tmpdir(), 'keelson-work'),
      ...given('modulesRoot', options.modulesRoot),
    });
  const commits = createStepCommits(scope, records, definitions, settling, {
    tracked: link.tracked,
    caching,
  });
  const turns = createStepTurns(scope, {
    ...{ records, definitions, settling, commits, values, conditions, owner },
    tracked: link.tracked,
    lossLimit: options.lossLimit ?? 50,
    ...given('admissions', admissions),
    caching,
  });
  const leases = new StepLeases(scope, {
    owner,
    leaseMs: options.leaseMs ?? 10_000,
    patienceMs: options.patienceMs ?? 600_000,
  });
  const stopSiblings = createStopSiblings(scope, records, settling);
  const engine: StepEngine = new StepEngine(scope, {
    ...{ functions, leases, turns },
    attempts: createStepAttempts(scope, {
      ...{
        functions,
        definitions,
        leases,
        commits,
        values,
        conditions,
        link,
        progress,
        checkpoints,
      },
      logs: functionLogs,
      ...given('external', external),
      stopSiblings: async (item, reason) => {
        await stopSiblings(item, reason);
        const others = (state: StepState): boolean =>
          state.step === item.step && state.id !== item.id && state.mapKey !== '';
        engine.abort(item.executionId, new KeelsonError('ABORTED', reason), others);
      },
      loadModule,
    }),
    ...given('admissions', admissions),
    executors: () => external?.executors ?? [],
    concurrency: options.concurrency ?? 4,
    supervised: options.supervised ?? 64,
  });
  const collect = async (signal: AbortSignal): Promise<boolean> => {
    const forgotten = await checkpoints.sweep(signal);
    const ended = (await external?.collectLeftovers({ signal })) ?? 0;
    return forgotten + ended > 0;
  };
  const endings = new Set<Promise<unknown>>();
  const loop = createPipelineLoop({ engine, leases, settling, link, collect });
  const readLogs = createStepLogs(scope, records, external, functionLogs);

  const starting = {
    start: (pipeline: string, parameters: JsonObject, how: StartOptions) =>
      start(pipeline, parameters, how),
    definition: async (name: string, version?: string) =>
      (functions.find(name, version) ?? (await definitions.find(name, version))).definition,
  };
  const timed = createSchedules(scope, {
    ...starting,
    wait: async (id, signal) =>
      (
        await waitForExecution(
          scope,
          { records, engine, leases, settling, link, functions },
          id,
          given('signal', signal),
        )
      ).facts,
  });
  const triggered =
    options.events &&
    createTriggers(scope, {
      ...starting,
      subscribe: options.events.subscribe,
      removeSubscription: options.events.removeSubscription,
    });

  async function startable(pipeline: string, version?: string): Promise<LoadedDefinition> {
    const registered = functions.find(pipeline, version);
    return registered === undefined
      ? definitions.find(pipeline, version)
      : definitions.put(registered.definition, registered.digest);
  }

  async function start(
    pipeline: string | Pipeline,
    parameters: JsonObject = {},
    settings: StartOptions = {},
  ): Promise<Execution> {
    const asked = typeof pipeline === 'string' ? pipeline : assertPipeline(pipeline);
    assertObject(settings, 'pipelines.start');
    assertStartOptions(settings);
    const name = typeof asked === 'string' ? asked : asked.definition.name;
    const version = typeof asked === 'string' ? settings.version : asked.definition.version;
    if (typeof asked !== 'string') functions.add(asked);
    await assertAllowed(scope, 'pipeline.run', `pipeline:${assertText(name, 'A pipeline', 100)}`);
    await scope.quotas?.assertRoom('compute');
    const loaded = await startable(name, version);
    await assertRoom(loaded);
    const execution = await createExecution(scope, records, loaded, parameters, settings);
    await settling.settle(execution.id);
    return execution.facts;
  }

  /** EXHAUSTED, naming them, for steps that no machine there is could ever hold. */
  async function assertRoom({ definition, digest }: LoadedDefinition): Promise<void> {
    if (admissions === undefined) return;
    const faults: string[] = [];
    for (const step of definition.steps) {
      if (step.resources === undefined && definition.resourceDefaults === undefined) continue;
      const on = runsOn(step, digest);
      const never = await admissions.never(step, definition.resourceDefaults, on);
      if (never !== undefined) faults.push(never.reason);
    }
    if (faults.length === 0) return;
    throw new KeelsonError(
      'EXHAUSTED',
      `Pipeline ${definition.name} cannot run here: ${faults.slice(0, 10).join('; ')}.`,
      { details: { faults } },
    );
  }

  /** Reads, checks and changes an execution as a whole, then settles what follows. */
  async function change(
    id: string,
    decide: (execution: ExecutionState) => ReturnType<typeof replaceExecution> | undefined,
  ): Promise<Execution> {
    const { pipeline, correlationId } = await records.get(assertText(id, 'An execution id'));
    await assertAllowed(scope, 'pipeline.run', `pipeline:${pipeline}`);
    await withCorrelation({ correlationId }, () =>
      decideAndCommit(scope, async () => {
        const made = decide(await records.get(id));
        return { changes: made === undefined ? [] : [made], result: undefined };
      }),
    );
    await settling.settle(id);
    return (await records.get(id)).facts;
  }

  /** Ends what runs of an execution that is over and whose supervisors have died, while the caller goes on. */
  function endTasksOf(executionId: string): void {
    if (external === undefined) return;
    const ending = external
      .collectLeftovers({ executionId })
      .catch((error: unknown) => {
        const fields = { component: 'pipelines', executionId, error };
        scope.logger.warn(fields, 'What runs of a cancelled execution is ended by the next sweep.');
      })
      .finally(() => endings.delete(ending));
    endings.add(ending);
  }

  /** With how far it has come, where that is known here. */
  function shown({ facts }: StepState): StepExecution {
    const said = facts.status === 'RUNNING' ? progress.get(facts.id) : undefined;
    return said === undefined ? facts : { ...facts, progress: said };
  }

  async function stepOf(executionId: string, step: string): Promise<StepState> {
    assertText(executionId, 'An execution id');
    const state = await records.step(executionId, assertText(step, 'A step'));
    if (state !== undefined) return state;
    await records.get(executionId);
    throw new KeelsonError('NOT_FOUND', `Execution ${executionId} has no step ${step}.`);
  }

  function opened(artifacts: readonly ArtifactFacts[]): Readonly<Record<string, StepArtifact>> {
    return Object.fromEntries(
      artifacts.map((facts) => [facts.name, new StepArtifact(facts, scope.artifacts)]),
    );
  }

  return {
    start: start as Pipelines['start'],
    add: (pipeline) => functions.add(assertPipeline(pipeline)),

    async putDefinition(pipeline) {
      assertObject(pipeline, 'pipelines.putDefinition');
      const definition = checkDefinition('definition' in pipeline ? pipeline.definition : pipeline);
      await assertAllowed(scope, 'pipeline.define', `pipeline:${definition.name}`);
      return (await definitions.put(definition, digestDefinition(definition))).digest;
    },

    async getDefinition(name, version) {
      return (await definitions.find(name, version)).definition;
    },

    async get(id) {
      return (await records.get(assertText(id, 'An execution id'))).facts;
    },

    async find(id) {
      const execution = await records.find(assertText(id, 'An execution id'));
      return execution?.facts;
    },

    async list(query = {}) {
      const { limit, cursor: after, ...wanted } = assertObject(query, 'pipelines.list');
      const of: Predicate[] = Object.entries(wanted).map(([name, value]) => equals(name, value));
      const { records: found, cursor } = await metadata.query(workspace, 'execution', {
        where: { op: 'and', of },
        orderBy: [{ by: column('queuedAt'), direction: 'desc' }],
        facets: ['tags'],
        ...given('limit', limit),
        ...given('cursor', after),
      });
      const executions = found.map((record) => executionFromRecord(record).facts);
      return { executions, ...given('cursor', cursor) };
    },

    async steps(executionId) {
      const execution = await records.get(executionId);
      const { definition } = await definitions.get(execution.definition);
      const names = definition.steps.map((step) => step.name);
      return (await records.stepsNamed(executionId, names)).map(shown);
    },

    async items(executionId, step) {
      const state = await stepOf(executionId, step);
      const items = await records.items(executionId, step, state.items ?? 0);
      return items.map(shown);
    },

    async wait<O>(target: string | TypedExecution<O>, settings: WaitOptions = {}) {
      assertObject(settings, 'pipelines.wait');
      assertKnown(settings, ['signal', 'timeoutMs', 'onProgress'], 'pipelines.wait');
      const id =
        typeof target === 'string'
          ? target
          : assertObject(target, 'pipelines.wait of an execution').id;
      const parts = { records, engine, leases, settling, link, functions };
      const ended = await waitForExecution(scope, parts, id, settings);
      const { definition } = await definitions.get(ended.definition);
      const step =
        ended.status !== 'COMPLETED' || definition.output === undefined
          ? undefined
          : await records.step(id, definition.output);
      const put = step?.status === 'COMPLETED' ? await values.read(step) : undefined;
      const output = put as O | undefined;
      return { ...ended.facts, ...given('output', output) } as EndedExecution<O>;
    },

    async cancel(id, reason) {
      const why =
        reason === undefined ? {} : { cancelReason: assertText(reason, 'A reason', 2000) };
      const cancelled = await change(id, (execution) => {
        if (execution.status === 'CANCELLED' || execution.stop === 'CANCELLED') return undefined;
        if (hasEnded(execution.status)) assertExecutionMove(id, execution.status, 'CANCELLED');
        return stopExecution(execution, { status: 'CANCELLED', facts: why, aborts: true });
      });
      engine.abort(id, new KeelsonError('ABORTED', `Execution ${id} was cancelled.`));
      endTasksOf(id);
      await link.close(await records.get(id));
      return cancelled;
    },

    pause: (id) =>
      change(id, (execution) => {
        if (execution.paused) return undefined;
        assertGoing(execution, 'paused');
        return replaceExecution(execution, { paused: true });
      }),

    resume: (id) =>
      change(id, (execution) => {
        if (!execution.paused) return undefined;
        assertGoing(execution, 'resumed');
        return replaceExecution(execution, { paused: undefined, phase: 'resuming' });
      }),

    retry: (id) =>
      change(id, (execution) => {
        assertExecutionMove(id, execution.status, 'PENDING');
        const { failure: _, cancelReason: __, ...rest } = execution.body;
        const { stop: ___, aborts: ____, ...body } = rest;
        const columns = {
          status: 'PENDING',
          phase: 'reopening',
          paused: undefined,
          endedAt: undefined,
          round: execution.round + 1,
        };
        return replaceExecution(execution, columns, body);
      }),

    async outputs(executionId, step) {
      const state = await stepOf(executionId, step);
      const value = await values.read(state);
      return { value, artifacts: opened(state.artifacts) };
    },

    async artifacts(executionId, step) {
      const { artifacts } = await stepOf(executionId, step);
      return opened(artifacts);
    },

    async queue(asked = {}) {
      const { executionId, ...rest } = assertObject(asked, 'pipelines.queue');
      assertKnown(rest, [], 'pipelines.queue');
      return (
        (await admissions?.queue(executionId && assertText(executionId, 'An execution id'))) ?? []
      );
    },

    resources: () => poolUses(scope, pools),

    async explainCache(executionId, step) {
      const state = await stepOf(executionId, step);
      const { definition, steps } = await definitions.get(state.definition);
      const defined = steps.get(step);
      const { cacheKey: key, cacheNote, cachedFrom } = state;
      const parts = key === undefined ? undefined : await caching.partsOf(key);
      if (key !== undefined) {
        return {
          outcome: cachedFrom === undefined ? 'miss' : 'hit',
          explanation: cacheNote ?? '',
          key,
          ...given('parts', parts),
          ...given('cachedFrom', cachedFrom),
        };
      }
      if (cachedFrom !== undefined) {
        const explanation = `reused from execution ${cachedFrom.executionId}, as the start of this one asked for`;
        return { outcome: 'hit', explanation, cachedFrom };
      }
      if (cacheNote !== undefined) return { outcome: 'off', explanation: cacheNote };
      const off = defined?.cache === false || defined?.repeat !== undefined;
      const none =
        off || defined === undefined
          ? { none: 'its definition says so' }
          : await caching.keyOf(definition.name, defined, { parameters: {}, packed: {} });
      return {
        outcome: 'off',
        explanation: 'none' in none ? `not cached: ${none.none}` : 'it has not been looked for yet',
      };
    },

    async clearCache(of = {}) {
      const { pipeline, step, ...rest } = assertObject(of, 'pipelines.clearCache');
      assertKnown(rest, [], 'pipelines.clearCache');
      if (pipeline !== undefined) assertText(pipeline, 'A pipeline', 255);
      if (step !== undefined) assertText(step, 'A step', 255);
      await assertAllowed(scope, 'pipeline.run', `pipeline:${pipeline ?? '*'}`);
      return caching.clear({ ...given('pipeline', pipeline), ...given('step', step) });
    },

    logs(executionId, step, settings = {}) {
      assertObject(settings, 'pipelines.logs');
      assertKnown(settings, ['attempt', 'item', 'follow', 'signal'], 'pipelines.logs');
      return readLogs(
        assertText(executionId, 'An execution id'),
        assertText(step, 'A step'),
        settings,
      );
    },

    schedules: timed.schedules,
    get triggers() {
      if (triggered !== undefined) return triggered.triggers;
      throw new KeelsonError('UNSUPPORTED', 'These pipelines were made without events.');
    },
    loops: [loop, timed.loop, ...(triggered === undefined ? [] : [triggered.loop])],
    async close() {
      await engine.close();
      await Promise.all(endings);
    },
  };
}

function assertGoing(execution: ExecutionState, what: string): void {
  if (!hasEnded(execution.status) && execution.phase !== 'stopping') return;
  throw new KeelsonError(
    'CONFLICT',
    `Execution ${execution.id} is ${execution.status}${execution.phase === 'stopping' ? ' and stopping' : ''} and cannot be ${what}.`,
    { details: { executionId: execution.id } },
  );
}

const startOptions = [
  ...['version', 'idempotencyKey', 'trigger', 'tags', 'priority', 'timeoutMs'],
  ...['from', 'until', 'only', 'reuse'],
];

function assertStartOptions(options: StartOptions): void {
  assertKnown(options, startOptions, 'pipelines.start');
  const { priority, timeoutMs, from, until, only, reuse } = options;
  for (const name of [from, until, only, reuse]) {
    if (name !== undefined) assertText(name, 'A step or execution of pipelines.start', 255);
  }
  if (priority !== undefined && !(Number.isInteger(priority) && Math.abs(priority) <= 1000)) {
    throw new KeelsonError('INVALID', 'priority must be a whole number from −1,000 to 1,000.');
  }
  if (timeoutMs !== undefined && !(Number.isSafeInteger(timeoutMs) && timeoutMs > 0)) {
    throw new KeelsonError('INVALID', 'timeoutMs must be a whole number of milliseconds above 0.');
  }
}

/** Refuses, as INVALID, what `definePipeline` did not make. */
function assertPipeline(pipeline: Pipeline): Pipeline {
  const { definition } = assertObject(pipeline, 'A pipeline, made by definePipeline,');
  if (typeof definition === 'object' && definition !== null) return pipeline;
  throw new KeelsonError('INVALID', 'This is no pipeline; make one with definePipeline.');
}
