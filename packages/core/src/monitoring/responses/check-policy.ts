import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import { assertSteps } from '../../deployments/rollout.ts';
import { checkPolicy as checkRollout } from '../../deployments/strategy-policy.ts';
import { KeelsonError } from '../../errors.ts';
import { compileExpression } from '../../language/conditions.ts';
import { CronTimes } from '../../pipelines/schedules/cron.ts';
import {
  type ResponseAction,
  type ResponseActionName,
  type ResponseKind,
  type ResponseLimit,
  type ResponsePolicyOptions,
  type ResponseRule,
  type RetrainPlan,
  type RouteCalendar,
  spelt,
} from './response-policy.ts';

const names = [
  ...['rollback', 'pause-rollout', 'cut-traffic', 'retrain', 'update', 'follow-calendar'],
  ...['raise-attention', 'freeze', 'notify', 'page'],
] as unknown as readonly [ResponseActionName, ...ResponseActionName[]];
const kinds = [
  ...['SUDDEN', 'GRADUAL', 'INCREMENTAL', 'RECURRING', 'BLIP', 'UNKNOWN', 'OTHER', 'CRITICAL'],
] as unknown as readonly [ResponseKind, ...ResponseKind[]];
const text = z.string().min(1).max(255);
const span = z
  .number()
  .int()
  .min(0)
  .max(366 * 86_400_000);
const name = z.enum(names);
const action: z.ZodType = z.lazy(() =>
  z.union([
    name,
    z.strictObject({
      action: name,
      otherwise: z.array(action).max(10).optional(),
      at: text.optional(),
      forMs: span.optional(),
      freeze: z
        .array(z.enum(['promotions', 'rollouts', 'scale-down']))
        .min(1)
        .optional(),
      text: z.string().max(2000).optional(),
    } satisfies Record<keyof ResponseAction, z.ZodType>),
  ]),
);
const actions = z.array(action).max(10);
const limit = z.strictObject({
  count: z.number().int().min(0).max(10_000),
  withinMs: span,
} satisfies Record<keyof ResponseLimit, z.ZodType>);
const rule = z.strictObject({
  name: text,
  when: z.string().min(1).max(4096),
  do: actions,
} satisfies Record<keyof ResponseRule, z.ZodType>);
const calendarFields = {
  entries: z
    .array(z.strictObject({ cron: text, version: text }))
    .min(1)
    .max(100),
  timeZone: text.optional(),
} satisfies Record<keyof RouteCalendar, z.ZodType>;
const retrain = z.strictObject({
  pipeline: text,
  parameters: z.record(z.string(), z.unknown()).optional(),
  update: text.optional(),
  startFrom: z.enum(['best', 'serving', 'search']).optional(),
  metric: z.strictObject({ name: text, better: z.enum(['higher', 'lower']) }).optional(),
  recentMs: span.optional(),
  minimumLabels: z.number().int().min(0).max(10_000_000).optional(),
  path: z.string().max(1000).optional(),
  bump: z.enum(['major', 'minor', 'patch', 'auto']).optional(),
  rollout: z
    .strictObject({
      strategy: z
        .enum(['canary', 'blue-green', 'rolling', 'immediate', 'shadow', 'suggested'])
        .optional(),
      policy: z.unknown().optional(),
      steps: z.array(z.unknown()).max(50).optional(),
      onInconclusive: z.enum(['pause', 'rollback']).optional(),
    })
    .optional(),
  promote: z.boolean().optional(),
} satisfies Record<keyof RetrainPlan, z.ZodType>);
const shape = z.strictObject({
  dryRun: z.boolean().optional(),
  rules: z.array(rule).max(100).optional(),
  matrix: z.partialRecord(z.enum(kinds), actions).optional(),
  retrain: retrain.optional(),
  calendar: z.strictObject({ ...calendarFields, follow: z.boolean().optional() }).optional(),
  limits: z
    .strictObject({
      all: limit.optional(),
      actions: z.partialRecord(name, limit).optional(),
    })
    .optional(),
  rolloutWithinMs: span.optional(),
} satisfies Record<keyof ResponsePolicyOptions, z.ZodType>);

/** Refuses, as INVALID or SYNTAX and by name, what no trouble could be answered by. */
export function checkResponsePolicy(given: ResponsePolicyOptions): ResponsePolicyOptions {
  checkOptions(shape, given, 'monitoring.responses.put');
  const { rules = [], matrix = {}, retrain: plan, calendar } = given;
  if (new Set(rules.map((each) => each.name)).size !== rules.length) {
    throw new KeelsonError('INVALID', 'Two rules of a response policy have one name.');
  }
  for (const { when } of rules) compileExpression(when, { names: ['event'] });
  const all = [...rules.map((each) => each.do), ...Object.values(matrix)].flat();
  for (const each of all.flatMap(withOthers)) {
    if (each.at !== undefined) new CronTimes(each.at);
  }
  for (const { cron } of calendar?.entries ?? []) new CronTimes(cron, calendar?.timeZone);
  const { strategy = 'canary', policy, steps } = plan?.rollout ?? {};
  if (steps !== undefined) assertSteps(steps);
  checkRollout(strategy, policy ?? {});
  return given;
}

function withOthers(given: ResponseActionName | ResponseAction): readonly ResponseAction[] {
  const one = spelt(given);
  return [one, ...(one.otherwise ?? []).flatMap(withOthers)];
}
