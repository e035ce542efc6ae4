import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { assertAllowed, type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { optional } from '../tracking/run.ts';
import { type CheckOutcome, checksOfApproval, type OwnCheck, runChecks } from './checks.ts';
import { flagIfDamaged } from './damage.ts';
import { emitOfModel } from './emit-of-model.ts';
import { readModel, readVersion, readVersionById } from './model-records.ts';
import { assertTies } from './model-tie.ts';
import type { Model, ModelVersion, Stage } from './model-version.ts';
import type { RegistryParts } from './registry-parts.ts';
import {
  assertFree,
  assertMayRise,
  assertMovable,
  requireRule,
  versionsInProduction,
} from './stage-moves.ts';
import { asksPeople, type PolicyCheck, type TransitionRule } from './stage-policy.ts';
import { type StageTransition, transitionCreated } from './transition.ts';
import { applied, findTransitionByKey, readTransition, rejection } from './transition-records.ts';

/** What to ask for. */
export interface TransitionRequest {
  readonly model: string;
  /** Semver. */
  readonly version: string;
  readonly to: Stage;
  readonly reason: string;
  /** Where the policy asks for it (by default on the way to ARCHIVED): that it is really meant. */
  readonly confirm?: boolean;
  /** Semver of the version that takes the place of one that is archived while it is deployed. */
  readonly replacement?: string;
  /** Asking again under the same key answers the first request. */
  readonly requestKey?: string;
  /** Checks beside the policy's, by name. */
  readonly checks?: Readonly<Record<string, OwnCheck>>;
}

const shape = z.strictObject({
  model: z.string(),
  version: z.string(),
  to: z.enum(['DEVELOPMENT', 'STAGING', 'PRODUCTION', 'ARCHIVED']),
  reason: z.string(),
  confirm: z.boolean().optional(),
  replacement: z.string().optional(),
  requestKey: z.string().min(1).max(500).optional(),
  checks: z
    .record(
      z.string(),
      z.custom((value) => typeof value === 'function', 'must be a function'),
    )
    .optional(),
} satisfies Record<keyof TransitionRequest, z.ZodType>);

interface Asked {
  readonly options: TransitionRequest;
  readonly id: string;
  readonly versionId: string;
  readonly replacementId: string | undefined;
  /** What was checked, and against which version in production: what has changed since is checked anew. */
  readonly policy: readonly PolicyCheck[];
  readonly against: string | undefined;
  readonly checks: readonly CheckOutcome[];
}

/** Runs the checks, then commits the request and, where nobody has to approve, the move. */
export async function requestTransition(
  scope: Scope,
  parts: RegistryParts,
  options: TransitionRequest,
): Promise<StageTransition> {
  checkOptions(shape, options, 'requestTransition');
  assertText(options.reason, 'A reason', 2000);
  const earlier = await findTransitionByKey(scope, options.requestKey);
  if (earlier !== undefined) return earlier;
  const version = await readVersion(scope, options.model, options.version);
  await assertAllowed(scope, 'model.promote', `model:${options.model}`);
  const replacementId = await replacementOf(scope, options, version);
  const id = scope.ids.next();
  try {
    for (let attempt = 1; ; attempt += 1) {
      const { rule, production } = await look(scope, parts, options, version.id);
      const own = { brought: parts.code.checks, asked: options.checks ?? {} };
      const checks = await runChecks(scope, version, production, rule.checks, own);
      const [policy, against] = [rule.checks, production?.id];
      const of = { options, id, versionId: version.id, replacementId };
      const asked: Asked = { ...of, policy, against, checks };
      const outdated = await decideAndCommit(scope, () => decide(scope, parts, asked));
      if (!outdated) {
        // Not before: a flagged version takes no request, and this one tells what was found.
        if (failsIntegrity(checks)) await flagIfDamaged(scope, version);
        return await readTransition(scope, id);
      }
      if (attempt === 5) {
        throw new KeelsonError(
          'STALE',
          `What is in production of ${options.model}, or its policy, changes faster than version ${options.version} is checked; ask again.`,
        );
      }
    }
  } catch (error) {
    // The same request from another process came first, and may have moved the version already.
    const first = isKeelsonError(error, 'CONFLICT')
      ? await findTransitionByKey(scope, options.requestKey)
      : undefined;
    if (first === undefined) throw error;
    return first;
  }
}

function failsIntegrity(checks: readonly CheckOutcome[]): boolean {
  return checks.some(({ name, passed }) => name === 'integrity' && !passed);
}

/** What the request meets: CONFLICT where it cannot be, before any content is read. */
async function look(
  scope: Scope,
  parts: RegistryParts,
  options: TransitionRequest,
  versionId: string,
): Promise<{
  readonly model: Model;
  readonly version: ModelVersion;
  readonly rule: TransitionRule;
  readonly production: ModelVersion | undefined;
}> {
  const version = await readVersionById(scope, versionId);
  const model = await readModel(scope, options.model);
  assertMovable(model, version, options.to);
  const rule = requireRule(model, version, options.to);
  await assertMayRise(scope, model, version, options.to);
  if (rule.confirmation === true && options.confirm !== true) {
    throw new KeelsonError(
      'INVALID',
      `Moving version ${version.version} of ${model.name} to ${options.to} asks for a confirmation: say confirm: true.`,
    );
  }
  if (options.to === 'ARCHIVED' && options.replacement === undefined) {
    const [use, ...more] = await parts.uses(version.id);
    if (use !== undefined) {
      const others = more.length === 0 ? '' : ` and ${more.length} more`;
      throw new KeelsonError(
        'CONFLICT',
        `Version ${version.version} of ${model.name} is used by ${use}${others}; say which version takes its place (replacement), or end that first.`,
        { details: { uses: [use, ...more] } },
      );
    }
  }
  const production = (await versionsInProduction(scope, model.id)).find(
    ({ id }) => id !== version.id,
  );
  return { model, version, rule, production };
}

/** Answers true, with nothing written, where the checks are not those of the policy and of production now. */
async function decide(
  scope: Scope,
  parts: RegistryParts,
  { options, id, versionId, replacementId, policy, against, checks: found }: Asked,
): Promise<Decision<boolean>> {
  const { modelId } = await readVersionById(scope, versionId);
  const tie = await assertTies(scope, modelId);
  const { model, version, rule, production } = await look(scope, parts, options, versionId);
  const same = isDeepStrictEqual(rule.checks, policy) && production?.id === against;
  if (!same) return { changes: [], result: true };
  const checks = await withFresh(scope, { version, production, policy }, found);
  const failed = checks.filter((check) => !check.passed);
  const detail = failed.map((check) => `${check.name}: ${check.detail}`);
  const { expiresMs } = rule;
  const asked = {
    ...{ id, modelId: model.id, versionId, from: version.stage, to: options.to },
    ...{ requestedBy: scope.principal.id, reason: options.reason, checks, approvals: [] },
    emergency: false,
    ...optional('replacementId', replacementId),
  };
  const { reason } = options;
  const commit = (
    transition: Omit<StageTransition, 'revision' | 'requestedAt'>,
    more: readonly Change[],
  ): Decision<boolean> => ({
    changes: [
      tie,
      transitionCreated(transition, options.requestKey),
      requested(scope, model, transition),
      ...more,
    ],
    result: false,
    reason,
  });
  if (failed.length > 0) {
    const ended = detail.join('; ');
    return commit({ ...asked, status: 'FAILED', ended }, [rejection(scope, model, asked, detail)]);
  }
  if (asksPeople(rule)) {
    const expiresAt = expiresMs === undefined ? undefined : scope.clock.now() + expiresMs;
    return commit({ ...asked, status: 'PENDING', ...optional('expiresAt', expiresAt) }, []);
  }
  assertFree(model);
  const { transition, changes } = await applied(scope, { model, version, rule }, {
    ...asked,
    status: 'DONE',
  } as Omit<StageTransition, 'revision' | 'requestedAt'>);
  return commit(transition, changes);
}

/** The outcomes, those that may have changed since (a card, say) as of now. */
async function withFresh(
  scope: Scope,
  of: {
    readonly version: ModelVersion;
    readonly production: ModelVersion | undefined;
    readonly policy: readonly PolicyCheck[];
  },
  found: readonly CheckOutcome[],
): Promise<readonly CheckOutcome[]> {
  const { version, production, policy } = of;
  const changing = checksOfApproval(policy);
  const own = { brought: new Map<string, OwnCheck>(), asked: {} };
  const fresh = await runChecks(scope, version, production, changing, own);
  return found.map((outcome, i) => fresh[changing.indexOf(policy[i] as PolicyCheck)] ?? outcome);
}

function requested(
  scope: Scope,
  model: Model,
  { id, versionId, from, to, status }: Omit<StageTransition, 'revision' | 'requestedAt'>,
): Change {
  const of = { transitionId: id, versionId, from, to };
  return emitOfModel(scope, 'promotion.requested', model.name, {
    ...of,
    status: status as 'PENDING' | 'APPLYING' | 'DONE' | 'FAILED',
  });
}

async function replacementOf(
  scope: Scope,
  { model, replacement }: TransitionRequest,
  version: ModelVersion,
): Promise<string | undefined> {
  if (replacement === undefined) return undefined;
  const found = await readVersion(scope, model, replacement);
  if (found.id !== version.id) return found.id;
  throw new KeelsonError('INVALID', `Version ${replacement} of ${model} cannot replace itself.`);
}
