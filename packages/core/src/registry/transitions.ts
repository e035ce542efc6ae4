import { assertObject } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import type { RegistryEventPayloads } from '../events/catalogue/registry-events.ts';
import { draftEvent } from '../events/draft-event.ts';
import type { PayloadOf } from '../events/typed-event.ts';
import { asJson, assertText } from '../json.ts';
import { assertAllowed, decideAndCommit, rolesFor } from '../operations/decide-and-commit.ts';
import { type CheckOutcome, checkReviews, type OwnCheck, runChecks } from './checks.ts';
import { readModel, readVersion, readVersionById } from './model-records.ts';
import type { Model, ModelVersion, Stage } from './model-version.ts';
import {
  type Approval,
  outcomeOf,
  refusalOfApproval,
  ruleFor,
  type TransitionRule,
} from './stage-policy.ts';
import { type StageTransition, transitionFromRecord } from './transition.ts';

/** What to ask for. */
export interface TransitionRequest {
  readonly model: string;
  /** Semver. */
  readonly version: string;
  readonly to: Stage;
  readonly reason: string;
  /** Asking again under the same key answers the first request. */
  readonly requestKey?: string;
  /** Checks beside the policy's, by name. */
  readonly checks?: Readonly<Record<string, OwnCheck>>;
}

/** The verbs on stages. */
export interface Transitions {
  /**
   * Runs the policy's checks and, where it asks for no approval, moves the version; otherwise the
   * transition waits. CONFLICT for a transition that the policy does not have.
   */
  requestTransition(request: TransitionRequest): Promise<StageTransition>;
  /** FORBIDDEN for the requester, and for roles that the policy does not name. */
  approve(transitionId: string, options?: { readonly comment?: string }): Promise<StageTransition>;
  reject(transitionId: string, options?: { readonly comment?: string }): Promise<StageTransition>;
  getTransition(id: string): Promise<StageTransition>;
  /** Newest first. */
  listTransitions(versionId: string): Promise<readonly StageTransition[]>;
}

/** Stage transitions, bound to a scope. */
export function createTransitions(scope: Scope): Transitions {
  const { metadata, workspace } = scope;

  async function get(id: string): Promise<StageTransition> {
    const record = await metadata.find(workspace, 'stage_transition', id);
    if (record !== undefined) return transitionFromRecord(record);
    throw new KeelsonError('NOT_FOUND', `There is no stage transition ${id}.`);
  }

  async function findByKey(key: string | undefined): Promise<StageTransition | undefined> {
    if (key === undefined) return undefined;
    const left = { from: 'column', name: 'requestKey' } as const;
    const where = { op: 'compare', left, cmp: '=', value: key } as const;
    const { records } = await metadata.query(workspace, 'stage_transition', { where, limit: 1 });
    return records[0] && transitionFromRecord(records[0]);
  }

  async function production(model: Model): Promise<ModelVersion | undefined> {
    const id = model.productionVersionId;
    return id === undefined ? undefined : readVersionById(scope, id);
  }

  async function request(options: TransitionRequest): Promise<StageTransition> {
    assertText(assertObject(options, 'requestTransition').reason, 'A reason', 2000);
    const asked = await findByKey(options.requestKey);
    if (asked !== undefined) return asked;
    const version = await readVersion(scope, options.model, options.version);
    await assertAllowed(scope, 'model.promote', `model:${options.model}`);
    const model = await readModel(scope, options.model);
    const rule = requireRule(model, version, options.to);
    const checks = await runChecks(
      scope,
      version,
      await production(model),
      rule.checks,
      options.checks ?? {},
    );
    const id = scope.ids.next();
    try {
      await decideAndCommit(scope, () => decideRequest(id, options, version.id, checks));
    } catch (error) {
      // The same request from another process came first.
      const first = isKeelsonError(error, 'CONFLICT')
        ? await findByKey(options.requestKey)
        : undefined;
      if (first === undefined) throw error;
      return first;
    }
    return get(id);
  }

  async function decideRequest(
    id: string,
    options: TransitionRequest,
    versionId: string,
    checks: readonly CheckOutcome[],
  ): Promise<{ readonly changes: readonly Change[]; readonly result: undefined }> {
    const [version, model] = await Promise.all([
      readVersionById(scope, versionId),
      readModel(scope, options.model),
    ]);
    const rule = requireRule(model, version, options.to);
    const failed = checks.filter((check) => !check.passed);
    const status = failed.length > 0 ? 'FAILED' : rule.approvals > 0 ? 'PENDING' : 'DONE';
    const create: Change = {
      op: 'create',
      kind: 'stage_transition',
      id,
      columns: {
        modelId: model.id,
        versionId,
        fromStage: version.stage,
        toStage: options.to,
        requestedBy: scope.principal.id,
        status,
        requestKey: options.requestKey,
      },
      body: { reason: options.reason, checks: asJson(checks), approvals: [] },
    };
    const payload = { transitionId: id, versionId, from: version.stage, to: options.to };
    const requested = emit('promotion.requested', model, { ...payload, status });
    if (status === 'DONE') {
      const moves = await moveChanges(model, version, options.to, {
        transitionId: id,
        approvals: [],
      });
      return { changes: [create, requested, ...moves], result: undefined };
    }
    if (status === 'FAILED') {
      const detail = failed.map((check) => `${check.name}: ${check.detail}`);
      const rejected = emit('promotion.rejected', model, { ...payload, reasons: detail });
      return { changes: [create, requested, rejected], result: undefined };
    }
    return { changes: [create, requested], result: undefined };
  }

  async function decideApproval(
    id: string,
    decision: Approval['decision'],
    comment: string,
  ): Promise<{ readonly changes: readonly Change[]; readonly result: undefined }> {
    const transition = await get(id);
    const version = await readVersionById(scope, transition.versionId);
    const model = await readModel(scope, version.model);
    if (transition.status !== 'PENDING') {
      throw new KeelsonError(
        'CONFLICT',
        `Transition ${id} is ${transition.status}; nothing to decide.`,
      );
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
    if (decision === 'APPROVE' && rule.checks.some(({ check }) => check === 'no-open-review')) {
      const { passed, detail } = await checkReviews(scope, model.name);
      if (!passed) {
        throw new KeelsonError('CONFLICT', `Transition ${id} cannot be approved now: ${detail}.`);
      }
    }
    const mine = { principal: person.id, roles, decision, comment, at: scope.clock.now() };
    const approvals = [...transition.approvals, mine];
    const outcome = outcomeOf(rule, approvals);
    const status = outcome === 'APPROVED' ? 'DONE' : outcome;
    const replace: Change = {
      op: 'replace',
      kind: 'stage_transition',
      id,
      expect: transition.revision,
      columns: { status },
      body: {
        reason: transition.reason,
        checks: asJson(transition.checks),
        approvals: asJson(approvals),
      },
    };
    const payload = {
      transitionId: id,
      versionId: version.id,
      from: transition.from,
      to: transition.to,
    };
    if (outcome === 'APPROVED') {
      const moves = await moveChanges(model, version, transition.to, {
        transitionId: id,
        approvals,
      });
      return { changes: [replace, ...moves], result: undefined };
    }
    const rejected = emit('promotion.rejected', model, { ...payload, reasons: [comment] });
    return { changes: outcome === 'REJECTED' ? [replace, rejected] : [replace], result: undefined };
  }

  /**
   * Moves the version, and under the single-production policy archives the former one, asserting the
   * model's revision: the record that owns "one version in production".
   */
  async function moveChanges(
    model: Model,
    version: ModelVersion,
    to: Stage,
    by: { readonly transitionId: string; readonly approvals: readonly Approval[] },
  ): Promise<Change[]> {
    const former = model.productionVersionId;
    const replaces = to === 'PRODUCTION' && model.policy.singleProduction && former !== version.id;
    const superseded = replaces ? await production(model) : undefined;
    const leaves = version.stage === 'PRODUCTION' && former === version.id;
    const productionVersionId = to === 'PRODUCTION' ? version.id : leaves ? undefined : former;
    const changes: Change[] = [
      {
        op: 'replace',
        kind: 'model',
        id: model.id,
        expect: model.revision,
        columns: { productionVersionId },
      },
      stageChange(version.id, version.revision, to),
      emit('model.promoted', model, {
        versionId: version.id,
        version: version.version,
        oldStage: version.stage,
        newStage: to,
        transitionId: by.transitionId,
        approvals: by.approvals.map((each) => each.principal),
        ...(superseded === undefined ? {} : { supersededVersionId: superseded.id }),
      }),
    ];
    if (superseded === undefined) return changes;
    return [...changes, stageChange(superseded.id, superseded.revision, 'ARCHIVED')];
  }

  function stageChange(id: string, revision: number, stage: Stage): Change {
    return { op: 'replace', kind: 'model_version', id, expect: revision, columns: { stage } };
  }

  function emit<T extends keyof RegistryEventPayloads>(
    type: T,
    model: Model,
    payload: Omit<PayloadOf<T>, 'name'>,
  ): Change {
    const event = {
      type,
      subject: `model:${model.name}`,
      source: 'registry',
      payload: { name: model.name, ...payload } as unknown as PayloadOf<T>,
    };
    return { op: 'emit', event: draftEvent(scope, event) };
  }

  function decideBy(
    id: string,
    decision: Approval['decision'],
    comment: string,
  ): Promise<StageTransition> {
    assertText(comment, 'A comment', 2000);
    return decideAndCommit(scope, () => decideApproval(id, decision, comment)).then(() => get(id));
  }

  return {
    requestTransition: request,
    getTransition: get,
    approve: async (id, options = {}) =>
      decideBy(id, 'APPROVE', assertObject(options, 'approve').comment ?? ''),
    reject: async (id, options = {}) =>
      decideBy(id, 'REJECT', assertObject(options, 'reject').comment ?? ''),
    async listTransitions(versionId) {
      const left = { from: 'column', name: 'versionId' } as const;
      const { records } = await metadata.query(workspace, 'stage_transition', {
        where: { op: 'compare', left, cmp: '=', value: versionId },
        orderBy: [{ by: { from: 'column', name: 'id' }, direction: 'desc' }],
        limit: 200,
      });
      return records.map(transitionFromRecord);
    },
  };
}

function requireRule(model: Model, version: ModelVersion, to: Stage): TransitionRule {
  const rule = ruleFor(model.policy, version.stage, to);
  if (!('possible' in rule)) return rule;
  throw new KeelsonError(
    'CONFLICT',
    `Version ${version.version} of ${model.name} is in ${version.stage} and cannot go to ${to}; possible: ${rule.possible.join(', ') || 'none'}.`,
    { details: { from: version.stage, to, possible: rule.possible } },
  );
}
