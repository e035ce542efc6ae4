import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { type Decision, decideAndCommit, rolesFor } from '../operations/decide-and-commit.ts';
import { checksOfApproval, runChecks } from './checks.ts';
import { emitOfModel } from './emit-of-model.ts';
import { assertTies } from './model-tie.ts';
import type { Model, ModelVersion } from './model-version.ts';
import { assertMovable, requireRule, versionsInProduction } from './stage-moves.ts';
import {
  type Approval,
  outcomeOf,
  refusalOfApproval,
  type TransitionRule,
} from './stage-policy.ts';
import { type StageTransition, transitionChanged } from './transition.ts';
import { applied, readTransition, readTransitionWhole, rejection } from './transition-records.ts';

/** Approves or rejects a request, and where that decides it, applies it or ends it in the same commit. */
export async function decideTransition(
  scope: Scope,
  id: string,
  decision: Approval['decision'],
  comment: string,
): Promise<StageTransition> {
  assertText(comment, 'A comment', 2000);
  const expired = await decideAndCommit(scope, () => decide(scope, id, decision, comment));
  if (expired !== undefined) throw new KeelsonError('CONFLICT', expired);
  return await readTransition(scope, id);
}

/** Answers why nothing could be decided any more, where that itself was to be written. */
async function decide(
  scope: Scope,
  id: string,
  decision: Approval['decision'],
  comment: string,
): Promise<Decision<string | undefined>> {
  const { transition, model, version } = await readTransitionWhole(scope, id);
  assertPending(transition);
  if (isOver(transition, scope.clock.now())) {
    const ended = `Transition ${id} has expired; ask anew.`;
    return { changes: expiry(scope, model, transition), result: ended };
  }
  if (version.stage !== transition.from) {
    throw new KeelsonError(
      'CONFLICT',
      `Version ${version.version} of ${version.model} has moved to ${version.stage} since; ask anew.`,
    );
  }
  const rule = requireRule(model, version, transition.to);
  const roles = await rolesFor(scope, `transition:${id}`);
  const person = { id: scope.principal.id, roles };
  const refusal = refusalOfApproval(model.policy, rule, transition, person);
  if (refusal !== undefined) {
    throw new KeelsonError('FORBIDDEN', `Transition ${id} cannot be decided so: ${refusal}.`);
  }
  const mine = { principal: person.id, roles, decision, comment, at: scope.clock.now() };
  const decided = { ...transition, approvals: [...transition.approvals, mine] };
  const outcome = outcomeOf(rule, decided.approvals);
  const reason = { reason: comment === '' ? transition.reason : comment };
  if (outcome === 'REJECTED') {
    const rejected = transitionChanged({ ...decided, status: 'REJECTED' });
    const changes = [
      rejected,
      rejection(scope, model, transition, comment === '' ? [] : [comment]),
    ];
    return { changes, result: undefined, ...reason };
  }
  assertMovable(model, version, transition.to);
  const changes =
    outcome === 'PENDING'
      ? [transitionChanged(decided)]
      : await approved(scope, { model, version, rule }, decided);
  return { changes, result: undefined, ...reason };
}

/** The last approval: what may have changed since the request is checked once more. */
async function approved(
  scope: Scope,
  of: { readonly model: Model; readonly version: ModelVersion; readonly rule: TransitionRule },
  transition: StageTransition,
): Promise<readonly Change[]> {
  const { model, version, rule } = of;
  const tie = await assertTies(scope, model.id);
  const production = (await versionsInProduction(scope, model.id)).find(
    ({ id }) => id !== version.id,
  );
  const own = { brought: new Map<string, never>(), asked: {} };
  const checks = await runChecks(scope, version, production, checksOfApproval(rule.checks), own);
  const failed = checks.filter((check) => !check.passed);
  if (failed.length > 0) {
    const detail = failed.map((check) => `${check.name}: ${check.detail}`).join('; ');
    throw new KeelsonError(
      'CONFLICT',
      `Transition ${transition.id} cannot be approved now: ${detail}.`,
      { details: { checks: failed.map(({ name }) => name) } },
    );
  }
  const { transition: next, changes } = await applied(scope, of, transition);
  return [tie, transitionChanged(next), ...changes];
}

/** Takes a request back; only who asked may. */
export async function withdrawTransition(
  scope: Scope,
  id: string,
  comment: string,
): Promise<StageTransition> {
  assertText(comment, 'A comment', 2000);
  await decideAndCommit(scope, async () => {
    const { transition, model } = await readTransitionWhole(scope, id);
    assertPending(transition);
    if (transition.requestedBy !== scope.principal.id) {
      throw new KeelsonError(
        'FORBIDDEN',
        `Transition ${id} was asked for by ${transition.requestedBy}, who alone can withdraw it; others reject it.`,
      );
    }
    const { versionId, from, to } = transition;
    const of = { transitionId: id, versionId, from, to };
    return {
      changes: [
        transitionChanged({ ...transition, status: 'WITHDRAWN', ended: comment }),
        emitOfModel(scope, 'promotion.withdrawn', model.name, {
          ...of,
          ...(comment === '' ? {} : { reason: comment }),
        }),
      ],
      result: undefined,
    };
  });
  return await readTransition(scope, id);
}

/** Ends a request whose time is over; nothing for one that has ended otherwise. */
export async function expireTransition(scope: Scope, id: string): Promise<void> {
  await decideAndCommit(scope, async () => {
    const { transition, model } = await readTransitionWhole(scope, id);
    const over = transition.status === 'PENDING' && isOver(transition, scope.clock.now());
    return { changes: over ? expiry(scope, model, transition) : [], result: undefined };
  });
}

function expiry(scope: Scope, model: Model, transition: StageTransition): readonly Change[] {
  const { id: transitionId, versionId, from, to, approvals } = transition;
  const ended = `Its time was over with ${approvals.length} approvals.`;
  return [
    transitionChanged({ ...transition, status: 'EXPIRED', ended }),
    emitOfModel(scope, 'promotion.expired', model.name, { transitionId, versionId, from, to }),
  ];
}

function assertPending({ id, status }: StageTransition): void {
  if (status === 'PENDING') return;
  throw new KeelsonError('CONFLICT', `Transition ${id} is ${status}; nothing to decide.`);
}

function isOver({ expiresAt }: StageTransition, now: number): boolean {
  return expiresAt !== undefined && now >= expiresAt;
}
