import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { currentCorrelation } from '../events/correlation.ts';
import { assertText } from '../json.ts';
import { sagaStarted } from '../operations/sagas.ts';
import { emitOfModel } from './emit-of-model.ts';
import { is, readModel, readVersionById } from './model-records.ts';
import type { Model, ModelVersion } from './model-version.ts';
import { createTransitionSaga, type TransitionInput } from './stage-effects.ts';
import { assertFree, assertMayRise, modelChanged, moveChanges } from './stage-moves.ts';
import type { TransitionRule } from './stage-policy.ts';
import { type StageTransition, transitionFromRecord } from './transition.ts';

/** Newest first. */
const newestFirst = [{ by: { from: 'column', name: 'id' }, direction: 'desc' }] as const;

/** A transition; NOT_FOUND for an id that is none. */
export async function readTransition(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  id: string,
): Promise<StageTransition> {
  const record = await metadata.find(workspace, 'stage_transition', assertText(id, 'An id'));
  if (record !== undefined) return transitionFromRecord(record);
  throw new KeelsonError('NOT_FOUND', `There is no stage transition ${id.slice(0, 100)}.`);
}

/** The one that was asked for under a key. */
export async function findTransitionByKey(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  key: string | undefined,
): Promise<StageTransition | undefined> {
  if (key === undefined) return undefined;
  const where = is('requestKey', key);
  const { records } = await metadata.query(workspace, 'stage_transition', { where, limit: 1 });
  return records[0] && transitionFromRecord(records[0]);
}

/** Those of a version, newest first. */
export async function transitionsOf(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  versionId: string,
): Promise<readonly StageTransition[]> {
  const { records } = await metadata.query(workspace, 'stage_transition', {
    ...{ where: is('versionId', versionId), orderBy: newestFirst, limit: 200 },
  });
  return records.map(transitionFromRecord);
}

/** A transition with what it is of, as they are now. */
export async function readTransitionWhole(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  id: string,
): Promise<{
  readonly transition: StageTransition;
  readonly version: ModelVersion;
  readonly model: Model;
}> {
  const transition = await readTransition(scope, id);
  const version = await readVersionById(scope, transition.versionId);
  return { transition, version, model: await readModel(scope, version.model) };
}

/**
 * What a transition that nothing stands in the way of does in its commit: it moves the version, or, where the
 * rule has effects, starts the saga that does so when they are done. Answers the transition as it is then.
 */
export async function applied<T extends Omit<StageTransition, 'revision' | 'requestedAt'>>(
  scope: Scope,
  of: { readonly model: Model; readonly version: ModelVersion; readonly rule: TransitionRule },
  transition: T,
): Promise<{ readonly transition: T; readonly changes: readonly Change[] }> {
  const { model, version, rule } = of;
  const { effects = [] } = rule;
  assertFree(model);
  const risen = await assertMayRise(scope, model, version, transition.to);
  if (effects.length === 0) {
    const done = { ...transition, status: 'DONE' as const };
    const moved = await moveChanges(scope, model, version, done);
    return { transition: done, changes: [...risen, ...moved] };
  }
  const sagaId = scope.ids.next();
  const input: TransitionInput = { transitionId: transition.id, effects };
  const correlationId = currentCorrelation()?.correlationId ?? sagaId;
  const facts = { id: sagaId, correlationId, idempotencyKey: transition.id };
  const definition = createTransitionSaga(scope, new Map());
  const started = sagaStarted(definition, asInput(input), facts, await scope.metadata.now());
  return {
    transition: { ...transition, status: 'APPLYING' as const, sagaId },
    changes: [...risen, modelChanged(model, { applyingId: transition.id }), started],
  };
}

function asInput({ transitionId, effects }: TransitionInput): {
  transitionId: string;
  effects: string[];
} {
  return { transitionId, effects: [...effects] };
}

/** That a transition came to nothing, and why. */
export function rejection(
  scope: Pick<Scope, 'clock' | 'ids' | 'principal'>,
  model: Model,
  transition: Pick<StageTransition, 'id' | 'versionId' | 'from' | 'to'>,
  reasons: readonly string[],
): Change {
  const { id: transitionId, versionId, from, to } = transition;
  return emitOfModel(scope, 'promotion.rejected', model.name, {
    ...{ transitionId, versionId, from, to, reasons },
  });
}
