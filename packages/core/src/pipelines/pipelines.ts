import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assertObject } from '../check-options.ts';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, type JsonObject } from '../json.ts';
import { assertAllowed } from '../operations/decide-and-commit.ts';
import { describeOwner } from '../process-owner.ts';
import { createAdmissions } from './admission/admission.ts';
import { poolUses } from './admission/pool-uses.ts';
import { createPools } from './admission/pools.ts';
import { explainCache } from './cache/explain-cache.ts';
import { createStepCaching } from './cache/step-caching.ts';
import { checkDefinition } from './check-definition.ts';
import { createStepCheckpoints } from './checkpoints/step-checkpoints.ts';
import type { Pipeline } from './define-pipeline.ts';
import { digestDefinition, runsOn } from './definition.ts';
import { createDefinitions, type LoadedDefinition } from './definitions.ts';
import { StepEngine } from './engine.ts';
import { type Execution, executionFromRecord, given } from './execution.ts';
import { createExecutionControl } from './execution-control.ts';
import { column, createExecutionRecords, equals } from './execution-records.ts';
import { createExternalSteps } from './executors/external-steps.ts';
import { createStepLogs } from './executors/step-logs.ts';
import { assertKnown } from './known-options.ts';
import { listDefinitions } from './list-definitions.ts';
import { createPipelineLoop } from './pipeline-loop.ts';
import type {
  EndedExecution,
  Pipelines,
  PipelinesOptions,
  TypedExecution,
} from './pipelines-types.ts';
import { createSchedules } from './schedules/schedules.ts';
import { createTriggers } from './schedules/triggers.ts';
import { createSettling } from './settling.ts';
import { createExecution, type StartOptions } from './start-execution.ts';
import { type ArtifactFacts, StepArtifact } from './step-artifact.ts';
import type { StepExecution, StepProgress, StepState } from './step-execution.ts';
import type { FunctionLog } from './steps/function-logs.ts';
import { createModuleLoader } from './steps/module-loader.ts';
import { createRunLink } from './steps/run-link.ts';
import { createStepAttempts } from './steps/step-attempts.ts';
import { createStepCommits } from './steps/step-commits.ts';
import { createStepConditions } from './steps/step-conditions.ts';
import { StepFunctions } from './steps/step-functions.ts';
import { StepLeases } from './steps/step-leases.ts';
import { createStepTurns } from './steps/step-turn.ts';
import { createStepValues } from './steps/step-values.ts';
import { createStopSiblings } from './steps/stop-siblings.ts';
import { type WaitOptions, waitForExecution } from './waiting.ts';

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
    ...{ caching, link },
  });
  const leases = new StepLeases(scope, {
    owner,
    leaseMs: options.leaseMs ?? 10_000,
    patienceMs: options.patienceMs ?? 600_000,
  });
  const stopSiblings = createStopSiblings(scope, records, settling);
  const engine: StepEngine = new StepEngine(scope, {
    ...{ functions, leases, turns, progress },
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
  const loop = createPipelineLoop({ engine, leases, settling, link, collect });
  const controlled = createExecutionControl(scope, { records, settling, engine, link, external });
  const readLogs = createStepLogs(scope, records, external, functionLogs);

  const waiting = {
    ...{ records, definitions, engine, leases, settling, link, functions },
    executors: () => external?.executors ?? [],
  };
  const starting = {
    start: (pipeline: string, parameters: JsonObject, how: StartOptions) =>
      start(pipeline, parameters, how),
    definition: async (name: string, version?: string) =>
      (functions.find(name, version) ?? (await definitions.find(name, version))).definition,
  };
  const timed = createSchedules(scope, {
    ...starting,
    wait: async (id, signal) =>
      (await waitForExecution(scope, waiting, id, given('signal', signal))).facts,
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

  /** With how far it has come, where that is known here. */
  function shown({ facts }: StepState): StepExecution {
    const said = progress.get(facts.id);
    if (said === undefined) return facts;
    if (facts.status === 'RUNNING') return { ...facts, progress: said };
    // What has to be there before it can start.
    const waitsFor = facts.status === 'PENDING' ? said.message : undefined;
    return waitsFor === undefined ? facts : { ...facts, waitsFor };
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

    definitions: (query = {}) => listDefinitions(scope, query),

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
      const ended = await waitForExecution(scope, waiting, id, settings);
      const { definition } = await definitions.get(ended.definition);
      const step =
        ended.status !== 'COMPLETED' || definition.output === undefined
          ? undefined
          : await records.step(id, definition.output);
      const put = step?.status === 'COMPLETED' ? await values.read(step) : undefined;
      const output = put as O | undefined;
      return { ...ended.facts, ...given('output', output) } as EndedExecution<O>;
    },

    ...controlled.control,

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

    async explainCache(executionId, step, of = {}) {
      const { item, ...rest } = assertObject(of, 'pipelines.explainCache');
      assertKnown(rest, [], 'pipelines.explainCache');
      return explainCache({ records, definitions, caching }, executionId, step, item);
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
      await controlled.ended();
    },
  };
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
