import { z } from 'zod';
import { assertObject, checkOptions } from '../check-options.ts';
import { KeelsonError } from '../errors.ts';
import { publicKeys } from './signing/signatures.ts';
import type { StagePolicy, TransitionRule } from './stage-policy.ts';

const stage = z.enum(['DEVELOPMENT', 'STAGING', 'PRODUCTION', 'ARCHIVED']);
const name = z.string().min(1).max(255);
const finite = z.number().refine(Number.isFinite, 'must be a finite number');
const count = z.number().int().min(1).max(100);

const check = z.discriminatedUnion('check', [
  z.strictObject({ check: z.literal('integrity') }),
  z.strictObject({ check: z.literal('signature') }),
  z.strictObject({ check: z.literal('no-open-review') }),
  z.strictObject({ check: z.literal('signed'), keys: publicKeys.optional() }),
  z.strictObject({
    check: z.literal('lineage'),
    of: z
      .array(z.enum(['run', 'data', 'code', 'environment', 'execution']))
      .min(1)
      .optional(),
  }),
  z
    .strictObject({
      check: z.literal('metric'),
      metric: name,
      min: finite.optional(),
      max: finite.optional(),
    })
    .refine(({ min, max }) => min !== undefined || max !== undefined, 'needs min or max')
    .refine(
      ({ min, max }) => min === undefined || max === undefined || min <= max,
      'has a min above its max',
    ),
  z.strictObject({
    check: z.literal('no-worse'),
    metric: name,
    better: z.enum(['higher', 'lower']),
    tolerance: finite.min(0),
  }),
  z.strictObject({ check: z.literal('comparison'), tolerance: finite.min(0) }),
  z.strictObject({ check: z.literal('card'), fields: z.array(name).min(1).max(100) }),
  z.strictObject({
    check: z.literal('validated'),
    suite: name,
    maxAgeMs: finite.positive().optional(),
  }),
  z.strictObject({ check: z.literal('own'), name }),
]);

const ruleShape = z.strictObject({
  from: stage,
  to: stage,
  checks: z.array(check).max(100),
  approvals: z.number().int().min(0).max(100),
  approverRoles: z.array(name).max(100),
  requiredRoles: z
    .array(z.strictObject({ role: name, count }))
    .max(20)
    .optional(),
  expiresMs: z
    .number()
    .int()
    .min(1)
    .max(365 * 86_400_000)
    .optional(),
  confirmation: z.boolean().optional(),
  effects: z.array(name).max(8).optional(),
} satisfies Record<keyof TransitionRule, z.ZodType>);

const policyShape = z.strictObject({
  transitions: z.array(ruleShape).max(16),
  singleProduction: z.boolean(),
  selfApproval: z.boolean(),
} satisfies Record<keyof StagePolicy, z.ZodType>);

/**
 * Refuses, as INVALID and by place, a policy that cannot be meant: unknown checks, two rules for one
 * transition, one that stays where it is, roles that must approve and may not, an effect twice. ARCHIVED →
 * PRODUCTION is refused too: only the emergency rollback takes it.
 */
export function assertPolicy(policy: StagePolicy): StagePolicy {
  checkOptions(policyShape, policy, 'A stage policy');
  const seen = new Set<string>();
  for (const rule of policy.transitions) {
    const way = `${rule.from} → ${rule.to}`;
    if (rule.from === rule.to) refuse(`${way} leads nowhere`);
    if (rule.from === 'ARCHIVED' && rule.to === 'PRODUCTION') {
      refuse(`${way} is for registry.rollback() alone; lead an archived version through STAGING`);
    }
    if (seen.has(way)) refuse(`${way} has two rules`);
    seen.add(way);
    assertRule(rule, way);
  }
  return policy;
}

/** A policy that asks for these metrics, beside what it asks already, on the way to Staging and to Production. */
export function withThresholds(
  policy: StagePolicy,
  thresholds: Readonly<Record<string, { readonly min?: number; readonly max?: number }>>,
): StagePolicy {
  const checks = Object.entries(assertObject(thresholds, 'withThresholds')).map(
    ([metric, bounds]) => ({ check: 'metric', metric, ...bounds }) as const,
  );
  const transitions = assertPolicy(policy).transitions.map((each) =>
    each.to === 'STAGING' || each.to === 'PRODUCTION'
      ? { ...each, checks: [...each.checks, ...checks] }
      : each,
  );
  return assertPolicy({ ...policy, transitions });
}

function assertRule(rule: TransitionRule, way: string): void {
  const { approverRoles, requiredRoles = [], approvals, effects = [] } = rule;
  for (const { role, count: needed } of requiredRoles) {
    if (approverRoles.length > 0 && !approverRoles.includes(role)) {
      refuse(`${way} requires the role ${role}, which its approverRoles do not let approve`);
    }
    if (needed > approvals) refuse(`${way} requires ${needed} of ${role} and ${approvals} in all`);
  }
  if (new Set(effects).size < effects.length) refuse(`${way} names an effect twice`);
}

function refuse(problem: string): never {
  throw new KeelsonError('INVALID', `The stage policy cannot be used: ${problem}.`);
}
