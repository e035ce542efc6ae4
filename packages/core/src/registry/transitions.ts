import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { decideTransition, expireTransition, withdrawTransition } from './approvals.ts';
import { assertCheck, type OwnCheck } from './checks.ts';
import { is } from './model-records.ts';
import type { RegistryParts } from './registry-parts.ts';
import { type Rollback, type RollbackOptions, rollBack } from './rollback.ts';
import { assertEffect, type StageEffect } from './stage-effects.ts';
import type { StageTransition } from './transition.ts';
import { readTransition, transitionsOf } from './transition-records.ts';
import { requestTransition, type TransitionRequest } from './transition-requests.ts';

/** The verbs on stages. */
export interface Transitions {
  /**
   * Runs the policy's checks and, where it asks for no approval, moves the version; otherwise the
   * transition waits. CONFLICT for a transition that the policy does not have, for a damaged version, and
   * for archiving one that is deployed without a replacement; INVALID where a confirmation is missing.
   */
  requestTransition(request: TransitionRequest): Promise<StageTransition>;
  /**
   * FORBIDDEN for the requester, and for roles that the policy does not name. The approval that decides moves
   * the version, unless another version got into production since that it does not compare well with: CONFLICT.
   */
  approve(transitionId: string, options?: { readonly comment?: string }): Promise<StageTransition>;
  reject(transitionId: string, options?: { readonly comment?: string }): Promise<StageTransition>;
  /** Takes one's own request back. */
  withdraw(transitionId: string, options?: { readonly comment?: string }): Promise<StageTransition>;
  getTransition(id: string): Promise<StageTransition>;
  /** Newest first. */
  listTransitions(versionId: string): Promise<readonly StageTransition[]>;
  /**
   * The emergency: demotes what is in production to Staging and reinstates the former version, in one commit,
   * without checks or approvals, and opens an incident whose review stays open. CONFLICT where there is
   * nothing to go back to.
   */
  rollback(model: string, options: RollbackOptions): Promise<Rollback>;
  /**
   * A check that policies name `{ check: 'own', name }`, in this process from now on. What it throws fails
   * the transition with its message.
   */
  addCheck(name: string, check: OwnCheck): void;
  /** An effect that policies name, in this process from now on. */
  addEffect(effect: StageEffect): void;
}

const decisionShape = z.strictObject({ comment: z.string().optional() });

/** Stage transitions, bound to a scope. */
export function createTransitions(
  scope: Scope,
  parts: RegistryParts,
): Transitions & { readonly expiryLoop: Loop } {
  const commentOf = (options: { readonly comment?: string } = {}): string =>
    checkOptions(decisionShape, options, 'A decision').comment ?? '';
  return {
    requestTransition: (request) => requestTransition(scope, parts, request),
    approve: async (id, options) => decideTransition(scope, id, 'APPROVE', commentOf(options)),
    reject: async (id, options) => decideTransition(scope, id, 'REJECT', commentOf(options)),
    withdraw: async (id, options) => withdrawTransition(scope, id, commentOf(options)),
    getTransition: (id) => readTransition(scope, id),
    listTransitions: async (versionId) => transitionsOf(scope, assertText(versionId, 'An id')),
    rollback: (model, options) => rollBack(scope, model, options),
    addCheck: (name, check) => bring(parts.code.checks, assertCheck(name, check), check, 'check'),
    addEffect: (effect) =>
      bring(parts.code.effects, assertEffect(effect).name, effect, 'stage effect'),
    expiryLoop: createExpiryLoop(scope),
  };
}

function bring<T>(brought: Map<string, T>, name: string, item: T, what: string): void {
  const known = brought.get(name);
  if (known === item) return;
  if (known !== undefined) {
    throw new KeelsonError(
      'CONFLICT',
      `This process has another ${what} ${name}; give yours another name.`,
    );
  }
  brought.set(name, item);
}

/** Ends requests whose time is over: one a turn. */
function createExpiryLoop(scope: Scope): Loop {
  const { metadata, workspace, clock } = scope;
  return {
    name: 'transition-expiry',
    idleMs: 30_000,
    async runOnce() {
      const left = { from: 'column', name: 'expiresAt' } as const;
      const due = { op: 'compare', left, cmp: '<=', value: clock.now() } as const;
      const { records } = await metadata.query(workspace, 'stage_transition', {
        where: { op: 'and', of: [is('status', 'PENDING'), due] },
        limit: 1,
      });
      const [record] = records;
      if (record === undefined) return false;
      await expireTransition(scope, record.id);
      return true;
    },
  };
}
