import type { Resources, SubmitOptions } from '../contracts/executor.ts';
import type { Change, ClaimKey, CommitResult } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { commitChanges, jitter } from '../operations/decide-and-commit.ts';
import type { ActiveRun } from '../tracking/active-run.ts';
import type { Admission, Admissions, Allocated } from './admission/admission.ts';
import type { CacheKey, StepCaching } from './cache/step-caching.ts';
import type { StepDefinition } from './definition.ts';
import type { Definitions, LoadedDefinition } from './definitions.ts';
import { type ExecutionState, given } from './execution.ts';
import { countSteps } from './execution-changes.ts';
import type { ExecutionRecords } from './execution-records.ts';
import { hasEnded, stepHasEnded } from './execution-state.ts';
import { joinStep } from './join-step.ts';
import { newEdges } from './lineage/new-edges.ts';
import {
  codeNodes,
  edgeOfCached,
  edgesInto,
  edgesOutOf,
  type StepOrigins,
} from './lineage/step-edges.ts';
import { stepEvent } from './pipeline-emits.ts';
import type { RunLink } from './run-link.ts';
import type { Settling } from './settling.ts';
import {
  adoptStep,
  completeStep,
  endStep,
  expandStep,
  type HeldStep,
  hold,
  parkStep,
  skipStep,
  startStep,
} from './step-changes.ts';
import type { StepCommits } from './step-commits.ts';
import type { StepConditions } from './step-conditions.ts';
import { replacedStep, type StepState, stepExecutionId, stepLabel } from './step-execution.ts';
import { classifyFailure, describeFailure } from './step-policy.ts';
import type { InputsGiven, StepValues } from './step-values.ts';

/** An attempt that has begun, or that this process has adopted. */
export interface Begun {
  readonly execution: ExecutionState;
  /** The step as it was when the attempt was begun. */
  readonly state: StepState;
  readonly step: StepDefinition;
  readonly attempt: number;
  /** Read when they are asked for: one that was adopted may need none. */
  readonly inputs: () => Promise<InputsGiven>;
  /** What went into it, for the lineage; of one that was adopted, the edges tell. */
  readonly origins?: StepOrigins;
  /** Its run of tracking, where that began in the commit of the start. */
  readonly run?: ActiveRun;
  /** What the commit of the start has left: good for its end, as long as nobody has changed it. */
  readonly started?: Started;
  readonly adopted: boolean;
  readonly allocated: Allocated;
}

/** A step that runs, and its execution, as they are known without being read. */
export interface Started {
  readonly state: StepState;
  readonly execution: ExecutionState;
}

/** What is due of a step that was claimed. */
export type Turn =
  /** It runs here. */
  | { readonly do: 'run'; readonly begun: Begun }
  /** It was moved on without running, or there is nothing to do. */
  | { readonly do: 'nothing' }
  /** There is no room for it now. */
  | { readonly do: 'wait'; readonly reason: string };

/** What turns need. */
export interface TurnParts {
  readonly records: ExecutionRecords;
  readonly definitions: Definitions;
  readonly settling: Settling;
  readonly commits: StepCommits;
  readonly values: StepValues;
  readonly conditions: StepConditions;
  readonly admissions?: Admissions;
  readonly caching?: StepCaching;
  readonly link: Pick<RunLink, 'beginning'>;
  /** Who runs the attempts, for the record. */
  readonly owner: JsonObject;
  /** Whether runs of tracking stand for executions. */
  readonly tracked: boolean;
  /** Deaths of the process around one step in one round, after which it counts as failed. */
  readonly lossLimit: number;
}

/** Decides what is due of a claimed step, and commits it. */
export interface StepTurns {
  /** Rejects with the signal's reason, where that is aborted before the step has begun. */
  take(claim: () => ClaimKey, first: StepState, options?: SubmitOptions): Promise<Turn>;
}

/** A step that may start. */
interface Due {
  readonly held: HeldStep;
  readonly execution: ExecutionState;
  readonly loaded: LoadedDefinition;
  readonly step: StepDefinition;
  readonly options: SubmitOptions;
}

const tries = 30;
/** How soon a step looks again whether somebody else has computed its result. */
const busyMs = 500;

/** Turns of steps, for the scope's workspace. */
export function createStepTurns(scope: Scope, parts: TurnParts): StepTurns {
  const { records, settling, commits, values, owner, tracked } = parts;

  return {
    async take(claim, first, options = {}) {
      let latest: StepState | undefined = first;
      for (let attempt = 1; ; attempt += 1) {
        const state: StepState | undefined = latest ?? (await records.stepById(first.id));
        latest = undefined;
        if (state === undefined || stepHasEnded(state.status) || state.pendingDeps > 0) {
          return { do: 'nothing' };
        }
        try {
          return await turn({ state, claim: claim() }, claim, { first: attempt === 1, options });
        } catch (error) {
          // Somebody else was quicker with the step, its execution, a pool or a key: look again.
          if (!isKeelsonError(error, 'STALE', 'CONFLICT') || attempt === tries) throw error;
          await jitter(attempt);
        }
      }
    },
  };

  /** At the `first` try by what this process knows: a commit that finds it otherwise is STALE or CONFLICT. */
  async function turn(
    held: HeldStep,
    claim: () => ClaimKey,
    { first, options }: { readonly first: boolean; readonly options: SubmitOptions },
  ): Promise<Turn> {
    const { state } = held;
    const known = first ? records.remembered(state.executionId) : undefined;
    const execution = known && goesOn(known) ? known : await records.get(state.executionId);
    const loaded = await parts.definitions.get(state.definition);
    const step = loaded.steps.get(state.step);
    if (step === undefined) {
      throw new KeelsonError('INTERNAL', `Step ${state.step} is not in its definition.`);
    }
    if (await decline(held, claim, execution)) return nothing;
    if (state.status === 'RUNNING' && waitsForOthers(state)) {
      await joinStep(scope, { records, values, commits }, held, claim, step);
      return nothing;
    }
    if (state.status === 'RUNNING' && isExternal(state))
      return adopt(held, execution, loaded, step);
    if (execution.paused) {
      return commitNothing(parkStep(held, execution, 'the execution is paused'));
    }
    if (state.status === 'PENDING' && state.failures === 0 && state.losses === 0) {
      let why: Awaited<ReturnType<typeof skipReason>>;
      try {
        why = await skipReason(held, execution, step);
      } catch (error) {
        if (classifyFailure(error) === 'transient') throw error;
        await commits.fail(claim, state.attempt, { failure: describeFailure(error), final: true });
        return nothing;
      }
      if (why !== undefined) {
        const follows = await commits.following(execution, { state, artifacts: [] });
        await commit(skipStep(scope, held, execution, why, follows, tracked));
        await commits.settled(state, execution);
        return nothing;
      }
    }
    return start({ held, execution, loaded, step, options }, claim, first);
  }

  async function start(due: Due, claim: () => ClaimKey, first: boolean): Promise<Turn> {
    const { held, execution, loaded, step } = due;
    const { state } = held;
    const of = { state, loaded, execution };
    let inputs: InputsGiven;
    try {
      if (step.forEach !== undefined && state.mapKey === '') {
        return await expand(held, execution, step, await values.items(of));
      }
      inputs = await values.inputs(of);
    } catch (error) {
      // What a commit of ours says is not about the inputs.
      if (isKeelsonError(error, 'STALE', 'CONFLICT', 'LOST')) throw error;
      if (classifyFailure(error) === 'transient') throw error;
      await commits.fail(claim, state.attempt, { failure: describeFailure(error), final: true });
      return nothing;
    }
    const lost = state.status === 'RUNNING';
    const cache = await cacheOf(due, inputs);
    const known = lost ? undefined : cache.key && (await fromCache({ ...due, inputs }, cache.key));
    if (known !== undefined && 'do' in known) return known;
    const unfit = cache.key && (await parts.caching?.unfit(step, cache.key));
    const fit = unfit === undefined ? cache.key : undefined;
    // What a dead process has reserved is filled by one that computes the same.
    const other = lost && fit !== undefined && fit.key !== state.cacheKey;
    const key = other ? undefined : fit;
    const changed = other ? 'what it is made of has changed since its process died' : undefined;
    const note = cacheNote(unfit ?? cache.none ?? changed, known);
    const admission = lost ? undefined : await admit(held, claim, loaded, step);
    if (admission !== undefined && admission.verdict !== 'admitted') {
      return admission.verdict === 'never' ? nothing : { do: 'wait', reason: admission.reason };
    }
    const reserved = key === undefined || lost ? [] : await parts.caching?.reserve(key, state);
    const allocated = admission?.allocated ?? (state.allocated as Allocated | undefined) ?? {};
    const items = admission === undefined ? undefined : itemPlace(step, state);
    const attempt = state.attempt + 1;
    const origins = await originsOf(attempt, loaded, step, inputs, key);
    const run = first ? await parts.link.beginning(execution, state, attempt) : undefined;
    const changes = startStep(scope, held, execution, {
      lineage: await newEdges(scope, edgesInto(state, origins), attempt === 1),
      owner,
      tracked,
      changes: [
        ...(admission?.changes ?? []),
        ...(items === undefined ? [] : [items.change]),
        ...(reserved ?? []),
      ],
      held: [...(admission?.held ?? []), ...(items === undefined ? [] : [items.held])],
      ...(admission?.allocated === undefined
        ? {}
        : { allocated: admission.allocated as unknown as JsonObject }),
      ...(key === undefined ? {} : { cacheKey: key.key }),
      ...(note === undefined ? {} : { cacheNote: note }),
    });
    let committed: CommitResult;
    try {
      committed = await commitChanges(scope, [...changes, ...(run?.changes ?? [])]);
    } catch (error) {
      const full = isKeelsonError(error, 'CONFLICT') && error.details['column'] === 'runningItems';
      if (!full) throw error;
      return { do: 'wait', reason: `${step.forEach?.maxParallel} items of ${step.name} run` };
    }
    return {
      do: 'run',
      begun: {
        ...{ execution, state, step, attempt, origins, allocated },
        inputs: () => Promise.resolve(inputs),
        adopted: false,
        ...given('run', run?.opened()),
        ...given('started', startedBy(changes, committed, state, execution)),
      },
    };
  }

  async function adopt(
    held: HeldStep,
    execution: ExecutionState,
    loaded: LoadedDefinition,
    step: StepDefinition,
  ): Promise<Turn> {
    const { state } = held;
    const inputs = () => values.inputs({ state, loaded, execution });
    await commit(adoptStep(held, execution, owner));
    const { executionId, attempt } = state;
    scope.logger.info(
      { component: 'pipelines', executionId, step: state.step },
      `Step ${stepLabel(state)}: attempt ${attempt} goes on under this process; the one before has died or closed.`,
    );
    const allocated = (state.allocated as Allocated | undefined) ?? {};
    return {
      do: 'run',
      begun: { execution, state, step, attempt, inputs, adopted: true, allocated },
    };
  }

  async function expand(
    held: HeldStep,
    execution: ExecutionState,
    step: StepDefinition,
    { count: items, origins }: Awaited<ReturnType<StepValues['items']>>,
  ): Promise<Turn> {
    const { state } = held;
    const into = edgesInto(state, { steps: origins.steps, contents: [], code: [] });
    const lineage = await newEdges(scope, into, state.attempt === 0);
    const begun = expandStep(scope, held, execution, step, { items, tracked, changes: lineage });
    await commit(begun);
    if (items === 0) {
      // Claimed again at once: there is nothing that it waits for.
      const at = await records.stepById(state.id);
      if (at !== undefined) {
        const again = { state: at, claim: held.claim };
        await joinStep(scope, { records, values, commits }, again, () => held.claim, step);
      }
    } else if (items > 400) await settling.release(state);
    return nothing;
  }

  /** What a claim finds besides a step to run: an execution that is over, or a step that kills. */
  async function decline(
    held: HeldStep,
    claim: () => ClaimKey,
    execution: ExecutionState,
  ): Promise<boolean> {
    const { state } = held;
    if (execution.phase === 'stopping' || hasEnded(execution.status)) {
      // A RUNNING one of a dead supervisor would keep a failed execution from its end.
      if (state.status === 'RUNNING' && !isExternal(state)) {
        const ended = endStep(scope, state, 'SKIPPED', 'the execution ended when its process died');
        await commit([hold(held.claim), ...ended, ...countSteps(execution, -1)]);
      }
      await settling.settle(execution.id);
      const left = state.status === 'RUNNING' && isExternal(state) && !hasEnded(execution.status);
      return !left || execution.aborts;
    }
    if (state.status !== 'RUNNING' || state.losses < parts.lossLimit) return false;
    const message = `The process around step ${stepLabel(state)} died ${state.losses + 1} times while it ran.`;
    const failure = { class: 'permanent', name: 'Lost', message } as const;
    await commits.fail(claim, state.attempt, { failure, final: true });
    return true;
  }

  async function skipReason({ state }: HeldStep, execution: ExecutionState, step: StepDefinition) {
    if (state.mapKey !== '') {
      const reason = (await records.stepById(state.fanOut))?.stoppedEarly;
      return reason === undefined ? undefined : ({ kind: 'early', reason } as const);
    }
    if (state.missingDeps > 0 && step.join !== 'ended') {
      return { kind: 'upstream', reason: 'a step that it depends on has no value for it' } as const;
    }
    if (step.when === undefined) return undefined;
    if (await parts.conditions.holds(step.when, state, execution)) return undefined;
    return { kind: 'condition', reason: `its condition is false: ${step.when}` } as const;
  }

  async function cacheOf(
    { step, loaded, execution: { parameters }, options }: Due,
    inputs: InputsGiven,
  ): Promise<{ readonly key?: CacheKey; readonly none?: string }> {
    if (parts.caching === undefined || step.cache === false || step.repeat !== undefined) {
      return {};
    }
    const { name } = loaded.definition;
    const given = { parameters, packed: inputs.packed };
    const key = await parts.caching.keyOf(name, step, given, options);
    if (!('none' in key)) return { key };
    // Of a function its definition tells.
    return step.run.type === 'function' ? {} : key;
  }

  async function fromCache(
    of: Due & { readonly inputs: InputsGiven },
    key: CacheKey,
  ): Promise<Turn | { readonly miss: string | undefined }> {
    const { held, execution, loaded, step, inputs } = of;
    const { state } = held;
    const policy = step.cache === false ? undefined : step.cache;
    const look = await parts.caching?.look(key, policy, state);
    if (look === undefined || look.found === 'miss') return { miss: look?.explanation };
    if (look.found === 'busy') {
      const readyAt = scope.clock.now() + busyMs;
      return commitNothing(parkStep(held, execution, look.explanation, readyAt));
    }
    const { output, artifacts, from } = look;
    const { contents: taken } = inputs.origins;
    const edges = [
      ...edgesInto(state, await originsOf(undefined, loaded, step, inputs, key)),
      edgeOfCached(state, stepExecutionId(from.executionId, from.step, from.mapKey)),
      ...edgesOutOf(state, { artifacts, taken }),
    ];
    const result = {
      ...{ output, artifacts, cachedFrom: from, cacheKey: key.key },
      cacheNote: look.explanation,
      changes: await newEdges(scope, edges, state.attempt === 0),
    };
    const follows = await commits.following(execution, { state, artifacts });
    await commit(completeStep(scope, held, execution, result, follows, tracked));
    await commits.settled(state, execution);
    const fields = { component: 'pipelines', executionId: state.executionId, step: state.step };
    scope.logger.info(fields, `Step ${stepLabel(state)}: ${look.explanation}`);
    return nothing;
  }

  /** What goes into an attempt; with the key, what is known of its code need not be found out again. */
  async function originsOf(
    attempt: number | undefined,
    { definition }: LoadedDefinition,
    step: StepDefinition,
    { origins }: InputsGiven,
    key: CacheKey | undefined,
  ): Promise<StepOrigins> {
    const { steps, contents } = origins;
    const code = key?.parts.code ?? (await parts.caching?.codeFor(step));
    return {
      ...{ steps, contents, code: codeNodes(definition.name, step, code) },
      ...given('tracked', tracked ? attempt : undefined),
    };
  }

  /** Undefined where nothing is to be reserved; a step that can never be held is failed. */
  async function admit(
    held: HeldStep,
    claim: () => ClaimKey,
    { definition }: LoadedDefinition,
    step: StepDefinition,
  ): Promise<Admission> {
    const { state } = held;
    const admission = await parts.admissions?.admit(step, definition.resourceDefaults, state);
    if (admission === undefined) {
      const allocated: Resources = { ...definition.resourceDefaults, ...step.resources };
      return { verdict: 'admitted', changes: [], held: [], allocated };
    }
    if (admission.verdict === 'never') {
      const { reason, resource: type, requested, available } = admission;
      const failure = { class: 'permanent', name: 'Exhausted', message: reason } as const;
      const changes = [
        stepEvent(scope, state, 'resource.exhausted', { type, requested, available }),
      ];
      await commits.fail(claim, state.attempt, { failure, final: true, changes });
    }
    return admission;
  }

  async function commit(changes: readonly Change[]): Promise<void> {
    await commitChanges(scope, changes);
  }

  async function commitNothing(changes: readonly Change[]): Promise<Turn> {
    await commit(changes);
    return nothing;
  }
}

const nothing: Turn = { do: 'nothing' };

/** Whether an executor does its work, so that it may outlive its supervisor. */
export function isExternal({ runsOn }: Pick<StepState, 'runsOn'>): boolean {
  return runsOn.startsWith('executor:') && runsOn !== 'executor:inline';
}

function waitsForOthers(state: StepState): boolean {
  return (state.items !== undefined && state.mapKey === '') || state.childExecutionId !== undefined;
}

/** Whether steps of it may start, as far as it is known. */
function goesOn({ status, phase, paused }: ExecutionState): boolean {
  return !hasEnded(status) && phase === undefined && !paused;
}

/** Undefined where the commit has changed the execution too. */
function startedBy(
  changes: readonly Change[],
  { at, revisions }: CommitResult,
  state: StepState,
  execution: ExecutionState,
): Started | undefined {
  if (execution.status !== 'RUNNING') return undefined;
  for (const [i, change] of changes.entries()) {
    if (change.op !== 'replace' || change.id !== state.id) continue;
    const revision = revisions[i];
    if (revision === undefined) return undefined;
    return { state: replacedStep(state, change, { at, revision }), execution };
  }
  return undefined;
}

/** The place of an item among those that may run at once. */
function itemPlace(step: StepDefinition, state: StepState) {
  const max = step.forEach?.maxParallel;
  if (max === undefined || state.mapKey === '') return undefined;
  const kind = 'step_execution';
  const id = state.fanOut;
  const column = 'runningItems';
  return {
    change: { op: 'adjust', kind, id, column, by: 1, max } as const,
    held: { op: 'adjust', kind, id, column, by: 1 } as const,
  };
}

function cacheNote(
  none: string | undefined,
  known: { readonly miss: string | undefined } | undefined,
): string | undefined {
  if (none !== undefined) return `not cached: ${none}`;
  return known?.miss === undefined ? undefined : `computed: ${known.miss}`;
}
