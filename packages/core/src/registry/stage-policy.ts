import type { CardCheck } from './cards/card-check.ts';
import type { Stage } from './model-version.ts';
import type { ValidatedCheck } from './validation/validated-check.ts';

/** A check that a version must pass before a transition, by name, with its parameters. */
export type PolicyCheck =
  /** The content of every file matches its hash. */
  | { readonly check: 'integrity' }
  /** There is a signature, and it fits the one of the version in production, if any. */
  | { readonly check: 'signature' }
  /** No incident of the model is still to be reviewed; looked at again when somebody approves. */
  | { readonly check: 'no-open-review' }
  /** Somebody whose public key is trusted has signed it; of `keys`, where they are given. */
  | { readonly check: 'signed'; readonly keys?: readonly string[] }
  /** The version's card fills the fields. */
  | CardCheck
  /** The newest report of a validation suite on the version passed, made by the suite as it is now. */
  | ValidatedCheck
  /** It is known what the version was made from; `run` and `data` when `of` is left out. */
  | { readonly check: 'lineage'; readonly of?: readonly LineagePart[] }
  /** A metric of the version lies within bounds. */
  | {
      readonly check: 'metric';
      readonly metric: string;
      readonly min?: number;
      readonly max?: number;
    }
  /** A metric is no worse than that of the version in production, by more than a tolerance. */
  | {
      readonly check: 'no-worse';
      readonly metric: string;
      readonly better: 'higher' | 'lower';
      readonly tolerance: number;
    }
  /**
   * As `no-worse`, for every metric that both versions have and whose name says which way it is better
   * (`accuracy`, `val_loss`); the tolerance is a share of the value in production.
   */
  | { readonly check: 'comparison'; readonly tolerance: number }
  /** A function that processes bring with `registry.addCheck`. */
  | { readonly check: 'own'; readonly name: string };

/** What may be known of where a version comes from. */
export type LineagePart = 'run' | 'data' | 'code' | 'environment' | 'execution';

/** What one transition asks. */
export interface TransitionRule {
  readonly from: Stage;
  readonly to: Stage;
  readonly checks: readonly PolicyCheck[];
  /** How many people must approve; 0 applies the transition once its checks pass. */
  readonly approvals: number;
  /** Who may approve: any of these roles; anybody when empty. */
  readonly approverRoles: readonly string[];
  /** Of those who approve, so many with a role: `[{ role: 'risk', count: 1 }]`. A person counts for each role of theirs. */
  readonly requiredRoles?: readonly { readonly role: string; readonly count: number }[];
  /** After which a request that waits for approvals expires; never when left out. */
  readonly expiresMs?: number;
  /** The request must say `confirm: true`. */
  readonly confirmation?: boolean;
  /** What has to be done elsewhere before the stage counts as reached, in this order: names of `registry.addEffect`. */
  readonly effects?: readonly string[];
}

/** Which transitions a model's versions may take, and what each asks. */
export interface StagePolicy {
  readonly transitions: readonly TransitionRule[];
  /** Whether one version at most is in production: the former one is archived in the same commit. */
  readonly singleProduction: boolean;
  /** Whether the one who asked may approve. */
  readonly selfApproval: boolean;
}

const toStaging: readonly PolicyCheck[] = [{ check: 'integrity' }, { check: 'signature' }];
const toProduction: readonly PolicyCheck[] = [
  ...toStaging,
  { check: 'comparison', tolerance: 0.02 },
];

function rule(
  from: Stage,
  to: Stage,
  checks: readonly PolicyCheck[],
  approvals: number,
): TransitionRule {
  return { from, to, checks, approvals, approverRoles: [] };
}

function archiving(from: Stage): TransitionRule {
  return { ...rule(from, 'ARCHIVED', [], 0), confirmation: true };
}

/**
 * Development → Staging after integrity and signature (add the thresholds of your metrics:
 * `withThresholds`); Staging → Production after those, a comparison with the version in production and
 * one approval by somebody other than the requester; anything → Archived on confirmation.
 */
export const defaultStagePolicy: StagePolicy = {
  transitions: [
    rule('DEVELOPMENT', 'STAGING', toStaging, 0),
    rule('STAGING', 'PRODUCTION', toProduction, 1),
    rule('STAGING', 'DEVELOPMENT', [], 0),
    archiving('DEVELOPMENT'),
    archiving('STAGING'),
    archiving('PRODUCTION'),
  ],
  singleProduction: true,
  selfApproval: false,
};

/** The rule for a transition, or the stages that can be reached instead. */
export function ruleFor(
  policy: StagePolicy,
  from: Stage,
  to: Stage,
): TransitionRule | { readonly possible: readonly Stage[] } {
  const found = policy.transitions.find((each) => each.from === from && each.to === to);
  if (found !== undefined) return found;
  return {
    possible: policy.transitions.filter((each) => each.from === from).map((each) => each.to),
  };
}

/** One person's decision. */
export interface Approval {
  readonly principal: string;
  readonly roles: readonly string[];
  readonly decision: 'APPROVE' | 'REJECT';
  readonly comment: string;
  readonly at: number;
}

/** Why a decision of this person does not count, or undefined when it does. */
export function refusalOfApproval(
  policy: StagePolicy,
  rule: TransitionRule,
  request: { readonly requestedBy: string; readonly approvals: readonly Approval[] },
  person: { readonly id: string; readonly roles: readonly string[] },
): string | undefined {
  if (!policy.selfApproval && person.id === request.requestedBy) {
    return `${person.id} asked for it and cannot approve it; somebody else must`;
  }
  if (request.approvals.some((each) => each.principal === person.id)) {
    return `${person.id} has decided already`;
  }
  const { approverRoles } = rule;
  if (approverRoles.length > 0 && !person.roles.some((role) => approverRoles.includes(role))) {
    return `it takes one of the roles ${approverRoles.join(', ')}, and ${person.id} has ${person.roles.join(', ') || 'none'}`;
  }
  return undefined;
}

/** What the decisions so far amount to. */
export function outcomeOf(
  rule: TransitionRule,
  approvals: readonly Approval[],
): 'PENDING' | 'APPROVED' | 'REJECTED' {
  if (approvals.some((each) => each.decision === 'REJECT')) return 'REJECTED';
  if (approvals.length < rule.approvals) return 'PENDING';
  const enough = (rule.requiredRoles ?? []).every(
    ({ role, count }) => approvals.filter(({ roles }) => roles.includes(role)).length >= count,
  );
  return enough ? 'APPROVED' : 'PENDING';
}

/** Whether a transition by the rule waits for people. */
export function asksPeople(rule: TransitionRule): boolean {
  return outcomeOf(rule, []) === 'PENDING';
}
