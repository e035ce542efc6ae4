import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertUnfrozen } from '../operations/freezes.ts';
import { optional } from '../tracking/run.ts';
import { emitOfModel } from './emit-of-model.ts';
import { is, lacks } from './model-records.ts';
import {
  type Model,
  type ModelVersion,
  modelVersionFromRecord,
  type Stage,
  versionFacets,
} from './model-version.ts';
import { ruleFor, type TransitionRule } from './stage-policy.ts';
import type { StageTransition } from './transition.ts';

/** The versions of a model that are in production, newest first: one at most, unless the policy allows several. */
export async function versionsInProduction(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  modelId: string,
): Promise<readonly ModelVersion[]> {
  const { records } = await metadata.query(workspace, 'model_version', {
    where: {
      op: 'and',
      of: [is('modelId', modelId), is('stage', 'PRODUCTION'), lacks('deletedAt')],
    },
    orderBy: [{ by: { from: 'column', name: 'number' }, direction: 'desc' }],
    facets: versionFacets,
    limit: 1000,
  });
  return records.map(modelVersionFromRecord);
}

/** A commit has 500 changes at most. */
const mostSuperseded = 200;

/**
 * Moves a version, and under the single-production policy archives what else is in production, at the
 * model's revision: the record that owns "one version in production". `more` are columns of the model that
 * change with it.
 */
export async function moveChanges(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'clock' | 'ids' | 'principal'>,
  model: Model,
  version: ModelVersion,
  transition: Pick<StageTransition, 'id' | 'to' | 'approvals' | 'emergency'>,
): Promise<readonly Change[]> {
  const { to } = transition;
  const others = (await versionsInProduction(scope, model.id)).filter(
    ({ id }) => id !== version.id,
  );
  const superseded = to === 'PRODUCTION' && model.policy.singleProduction ? others : [];
  if (superseded.length > mostSuperseded) {
    throw new KeelsonError(
      'CONFLICT',
      `${superseded.length} versions of ${model.name} are in production, and its policy now allows one: more than ${mostSuperseded} cannot be archived at once. Archive some of them first.`,
    );
  }
  const { productionVersionId: former } = model;
  const left = former === version.id ? others[0]?.id : former;
  const productionVersionId = to === 'PRODUCTION' ? version.id : left;
  return [
    modelChanged(model, { productionVersionId, applyingId: undefined }),
    stageChanged(version, to),
    emitOfModel(scope, 'model.promoted', model.name, {
      versionId: version.id,
      version: version.version,
      oldStage: version.stage,
      newStage: to,
      transitionId: transition.id,
      approvals: transition.approvals.map((each) => each.principal),
      ...optional('supersededVersionId', superseded[0]?.id),
      ...(transition.emergency ? { emergency: true } : {}),
    }),
    ...superseded.map((each) => stageChanged(each, 'ARCHIVED')),
  ];
}

/** Columns of a model, at the revision that was read. */
export function modelChanged(
  model: Model,
  columns: Readonly<Record<string, string | number | undefined>>,
): Change {
  return { op: 'replace', kind: 'model', id: model.id, expect: model.revision, columns };
}

/** A version's stage, at the revision that was read. */
export function stageChanged({ id, revision: expect }: ModelVersion, stage: Stage): Change {
  return { op: 'replace', kind: 'model_version', id, expect, columns: { stage } };
}

/** The policy's rule for a move; CONFLICT, with the moves that there are, where it has none. */
export function requireRule(model: Model, version: ModelVersion, to: Stage): TransitionRule {
  const rule = ruleFor(model.policy, version.stage, to);
  if (!('possible' in rule)) return rule;
  throw new KeelsonError(
    'CONFLICT',
    `Version ${version.version} of ${model.name} is in ${version.stage} and cannot go to ${to}; possible: ${rule.possible.join(', ') || 'none'}.`,
    { details: { from: version.stage, to, possible: rule.possible } },
  );
}

/** CONFLICT where the version, or its model, is in no state to be moved. */
export function assertMovable(model: Model, version: ModelVersion, to: Stage): void {
  const what = `Version ${version.version} of ${model.name}`;
  if (version.deletedAt !== undefined) {
    throw new KeelsonError('CONFLICT', `${what} was deleted; restore it first.`);
  }
  if (version.status === 'FAILED' && to !== 'ARCHIVED') {
    throw new KeelsonError(
      'CONFLICT',
      `${what} is damaged: ${version.failure ?? 'its content does not match its hash'}.`,
    );
  }
}

const heights: Readonly<Record<Stage, number>> = {
  ...{ ARCHIVED: 0, DEVELOPMENT: 1, STAGING: 2, PRODUCTION: 3 },
};

/** Refuses, as CONFLICT, a move up while promotions are frozen; answers what its commit has to assert. */
export async function assertMayRise(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  model: Model,
  version: ModelVersion,
  to: Stage,
): Promise<readonly Change[]> {
  if (heights[to] <= heights[version.stage]) return [];
  return [await assertUnfrozen(scope, 'promotions', { model: model.name })];
}

/** CONFLICT while another transition of the model is being applied. */
export function assertFree({ name, applyingTransitionId }: Model): void {
  if (applyingTransitionId === undefined) return;
  throw new KeelsonError(
    'CONFLICT',
    `Transition ${applyingTransitionId} of ${name} is being applied; wait until its effects are done (registry.getTransition says so).`,
    { details: { transitionId: applyingTransitionId } },
  );
}
