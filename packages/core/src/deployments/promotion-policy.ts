import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import { KeelsonError } from '../errors.ts';
import type { Strategy } from './revision.ts';
import { planOf } from './strategies.ts';
import { checkPolicy, type RolloutPolicy } from './strategy-policy.ts';

/** How a deployment follows promotions of its model to Production. */
export interface PromotionPolicy {
  /** As with `deploy`; `canary` when left out. */
  readonly strategy?: Strategy | 'suggested';
  /** As with `deploy`. */
  readonly policy?: RolloutPolicy;
}

/** How it follows them, and how far it has come. */
export interface FollowedPromotions extends PromotionPolicy {
  /** Promotions from then on are followed; by the store's clock. */
  readonly since: number;
  /** The stage transition that was followed last. */
  readonly transitionId?: string;
}

const shape = z.strictObject({
  strategy: z
    .enum(['canary', 'blue-green', 'rolling', 'immediate', 'shadow', 'suggested'])
    .optional(),
  policy: z.unknown().optional(),
} satisfies Record<keyof PromotionPolicy, z.ZodType>);

/** Refuses, as INVALID and by the field's name, what no promotion could be followed by. */
export function checkPromotionPolicy(given: PromotionPolicy): PromotionPolicy {
  checkOptions(shape, given, 'onPromotion');
  const { strategy = 'canary', policy } = given;
  checkPolicy(strategy, policy ?? {});
  if (strategy === 'suggested' || planOf(strategy, policy).onComplete === 'candidate') return given;
  throw new KeelsonError(
    'INVALID',
    'onPromotion: a shadow that does not take over leaves the promoted version without traffic; say policy: { promote: true }, or another strategy.',
  );
}

/** The policy that is followed from now on; how far it has come stays. */
export function followed(
  before: FollowedPromotions | undefined,
  wanted: PromotionPolicy,
  now: number,
): FollowedPromotions {
  const { strategy, policy } = wanted;
  return {
    since: before?.since ?? now,
    ...(before?.transitionId === undefined ? {} : { transitionId: before.transitionId }),
    ...(strategy === undefined ? {} : { strategy }),
    ...(policy === undefined ? {} : { policy }),
  };
}
