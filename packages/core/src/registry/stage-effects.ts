import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { asJson, assertText, type Json } from '../json.ts';
import { type AnySaga, defineSaga, type SagaContext, type SagaStep } from '../operations/saga.ts';
import { emitOfModel } from './emit-of-model.ts';
import { readModel, readVersionById } from './model-records.ts';
import type { Model, ModelVersion } from './model-version.ts';
import { assertMovable, modelChanged, moveChanges, versionsInProduction } from './stage-moves.ts';
import { type StageTransition, transitionChanged, transitionFromRecord } from './transition.ts';

/** What an effect is told. */
export interface StageEffectContext {
  readonly transition: StageTransition;
  readonly model: Model;
  readonly version: ModelVersion;
  /** What is in production now, and will be archived when the stage is reached. */
  readonly superseded?: ModelVersion;
  /** In a compensation: what `run` answered, if it did. */
  readonly result?: Json;
  /** The same whenever this effect of this transition runs (another one for its compensation). */
  readonly idempotencyKey: string;
  /** Aborted when the time is up, the process stops, or another process has taken over. */
  readonly signal: AbortSignal;
}

/**
 * Something to do elsewhere before a version's new stage counts as reached: make a deployment, run a smoke
 * test, tell another system. It runs in the loops of any process that brings it, and may run again when a
 * process died in it: it must be harmless when its work is done already. When it fails for good (five
 * times, or at once with INVALID, CONFLICT, NOT_FOUND or FORBIDDEN), what was done is compensated, last
 * first, and the transition is FAILED.
 */
export interface StageEffect {
  /** Policies name it. */
  readonly name: string;
  run(context: StageEffectContext): Promise<Json | undefined> | Promise<void>;
  /** Undoes whatever `run` has done: all, a part, or nothing. */
  compensate?(context: StageEffectContext): Promise<void>;
  /** For one attempt; 300,000 when left out. */
  readonly timeoutMs?: number;
}

/** What the saga of a transition is given. */
export interface TransitionInput {
  readonly transitionId: string;
  readonly effects: readonly string[];
}

const transitionSaga = 'registry.transition';
/** A policy has eight effects at most: the steps of a saga are fixed. */
const slots = 8;
const defaultTimeoutMs = 300_000;

type EffectScope = Pick<Scope, 'metadata' | 'workspace' | 'clock' | 'ids' | 'principal'>;

/** The saga that applies a transition: its effects one after another, then the stage. */
export function createTransitionSaga(
  scope: EffectScope,
  effects: ReadonlyMap<string, StageEffect>,
): AnySaga {
  const slot = (index: number): SagaStep<TransitionInput> => ({
    name: `effect ${index + 1}`,
    // Each effect has its own time.
    timeoutMs: 2 ** 31 - 1,
    async run(context) {
      const name = context.input.effects[index];
      if (name === undefined) return undefined;
      const effect = requireEffect(effects, name);
      const result = await inTime(effect, context, async (signal) =>
        effect.run(await contextOf(scope, context, signal)),
      );
      return {
        result: { effect: name, ...(result === undefined ? {} : { said: asJson(result) }) },
      };
    },
    async compensate(context) {
      const name = context.input.effects[index];
      if (name === undefined) return undefined;
      const effect = requireEffect(effects, name);
      const kept = context.results[`effect ${index + 1}`] as { said?: Json } | undefined;
      await inTime(effect, context, async (signal) =>
        effect.compensate?.({
          ...(await contextOf(scope, context, signal)),
          ...(kept?.said === undefined ? {} : { result: kept.said }),
        }),
      );
      return undefined;
    },
  });
  return defineSaga<TransitionInput>(transitionSaga, [
    {
      name: 'begin',
      run: async () => undefined,
      // The last to be compensated: from here on another transition may begin.
      compensate: async ({ input, error }) => ({
        changes: await givenUp(scope, input.transitionId, error ?? 'It could not be applied.'),
      }),
    },
    ...Array.from({ length: slots }, (_, index) => slot(index)),
    {
      name: 'stage',
      run: async ({ input }) => ({ changes: await reached(scope, input.transitionId) }),
    },
  ]) as AnySaga;
}

async function reached(scope: EffectScope, id: string): Promise<readonly Change[]> {
  const { transition, model, version } = await readApplied(scope, id);
  if (transition.status !== 'APPLYING' || model.applyingTransitionId !== id) {
    throw new KeelsonError(
      'CONFLICT',
      `Transition ${id} was overtaken: it is ${transition.status}.`,
    );
  }
  assertMovable(model, version, transition.to);
  const done = { ...transition, status: 'DONE' } as const;
  return [transitionChanged(done), ...(await moveChanges(scope, model, version, done))];
}

async function givenUp(scope: EffectScope, id: string, error: string): Promise<readonly Change[]> {
  const { transition, model, version } = await readApplied(scope, id);
  const changes: Change[] = [];
  if (model.applyingTransitionId === id)
    changes.push(modelChanged(model, { applyingId: undefined }));
  if (transition.status !== 'APPLYING') return changes;
  const { from, to } = transition;
  return [
    ...changes,
    transitionChanged({ ...transition, status: 'FAILED', ended: error }),
    emitOfModel(scope, 'promotion.rejected', model.name, {
      ...{ transitionId: id, versionId: version.id, from, to, reasons: [error] },
    }),
  ];
}

async function readApplied(
  scope: EffectScope,
  id: string,
): Promise<{
  readonly transition: StageTransition;
  readonly model: Model;
  readonly version: ModelVersion;
}> {
  const record = await scope.metadata.find(scope.workspace, 'stage_transition', id);
  if (record === undefined) throw new KeelsonError('NOT_FOUND', `There is no transition ${id}.`);
  const transition = transitionFromRecord(record);
  const version = await readVersionById(scope, transition.versionId);
  return { transition, version, model: await readModel(scope, version.model) };
}

async function contextOf(
  scope: EffectScope,
  { input, idempotencyKey }: SagaContext<TransitionInput>,
  signal: AbortSignal,
): Promise<StageEffectContext> {
  const { transition, model, version } = await readApplied(scope, input.transitionId);
  const context = { transition, model, version, idempotencyKey, signal };
  if (transition.to !== 'PRODUCTION' || !model.policy.singleProduction) return context;
  const [superseded] = (await versionsInProduction(scope, model.id)).filter(
    ({ id }) => id !== version.id,
  );
  return superseded === undefined ? context : { ...context, superseded };
}

function requireEffect(effects: ReadonlyMap<string, StageEffect>, name: string): StageEffect {
  const effect = effects.get(name);
  if (effect !== undefined) return effect;
  throw new KeelsonError(
    'FAILED',
    `This process does not bring the effect ${name}: call registry.addEffect() in each process that brings any.`,
  );
}

async function inTime<T>(
  { name, timeoutMs = defaultTimeoutMs }: StageEffect,
  { signal: outer }: SagaContext<TransitionInput>,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const late = new KeelsonError('TIMEOUT', `${name} was not over after ${timeoutMs} ms.`);
  const timer = setTimeout(() => limit.abort(late), timeoutMs);
  const signal = AbortSignal.any([outer, limit.signal]);
  const ended = new Promise<never>((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  try {
    return await Promise.race([work(signal), ended]);
  } finally {
    clearTimeout(timer);
  }
}

/** Refuses, as INVALID, what is no effect. */
export function assertEffect(effect: StageEffect): StageEffect {
  const { name, run, compensate, timeoutMs } = (effect ?? {}) as Partial<StageEffect>;
  assertText(name, 'The name of an effect', 255);
  const functions =
    typeof run === 'function' && ['function', 'undefined'].includes(typeof compensate);
  const time = timeoutMs === undefined || (Number.isSafeInteger(timeoutMs) && timeoutMs > 0);
  if (name !== '' && functions && time) return effect;
  throw new KeelsonError(
    'INVALID',
    'A stage effect is { name, run, compensate?, timeoutMs? }: a name, functions, and milliseconds.',
  );
}
