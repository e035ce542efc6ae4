import type { Resources, SubmitOptions } from '../../contracts/executor.ts';
import type { Change, ClaimKey, CommitResult } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import type { Admission, Allocated } from '../admission/admission.ts';
import type { CacheKey } from '../cache/step-caching.ts';
import type { HeldStep } from '../changes/held-step.ts';
import { completeStep } from '../changes/step-completion.ts';
import { parkStep } from '../changes/step-return.ts';
import { expandStep, startStep } from '../changes/step-start.ts';
import type { StepDefinition } from '../definition.ts';
import type { LoadedDefinition } from '../definitions.ts';
import { type ExecutionState, given } from '../execution.ts';
import { newEdges } from '../lineage/new-edges.ts';
import {
  codeNodes,
  edgeOfCached,
  edgesInto,
  edgesOutOf,
  type StepOrigins,
} from '../lineage/step-edges.ts';
import { stepEvent } from '../pipeline-emits.ts';
import { replacedStep, type StepState, stepExecutionId, stepLabel } from '../step-execution.ts';
import { classifyFailure, describeFailure } from '../step-policy.ts';
import { joinStep } from './join-step.ts';
import type { InputsGiven, StepValues } from './step-values.ts';
import { nothing, type Started, type Turn, type TurnParts } from './turn.ts';

/** A step that may start. */
export interface Due {
  readonly held: HeldStep;
  readonly execution: ExecutionState;
  readonly loaded: LoadedDefinition;
  readonly step: StepDefinition;
  readonly options: SubmitOptions;
}

/** How soon a step looks again whether somebody else has computed its result. */
const busyMs = 500;

/**
 * Reads what goes into a step that may start, and starts it, expands it, takes its result from an earlier one, or
 * leaves it until there is room. At the `first` try by what this process knows.
 */
export type AttemptStart = (due: Due, claim: () => ClaimKey, first: boolean) => Promise<Turn>;

/** Starts of steps, for the scope's workspace. */
export function createAttemptStart(scope: Scope, parts: TurnParts): AttemptStart {
  const { records, settling, commits, values, owner, tracked } = parts;

  return start;

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
    const reserved =
      key === undefined || known === undefined || lost
        ? []
        : parts.caching?.reserve(key, state, known.revision);
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
    await commitChanges(scope, begun);
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
  ): Promise<Turn | { readonly miss: string; readonly revision: number } | undefined> {
    const { held, execution, loaded, step, inputs } = of;
    const { state } = held;
    const policy = step.cache === false ? undefined : step.cache;
    const look = await parts.caching?.look(key, policy, state);
    if (look === undefined) return undefined;
    if (look.found === 'miss') return { miss: look.explanation, revision: look.revision };
    if (look.found === 'busy') {
      const readyAt = scope.clock.now() + busyMs;
      await commitChanges(scope, parkStep(held, execution, look.explanation, readyAt));
      return nothing;
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
    await commitChanges(scope, completeStep(scope, held, execution, result, follows, tracked));
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
