import type { ModelVersion, Stage, StageTransition } from '@keelson/core';
import { z } from 'zod';
import { refusal } from '../problem.ts';
import type { Call, Route } from '../route.ts';
import { answered, asked, looseObject } from '../schemas.ts';
import {
  anyStage,
  modelVersion,
  type OneVersion,
  stageOf,
  transition,
  versionParam,
} from './model-schemas.ts';
import { ofTransition, ofVersion } from './revised-records.ts';
import { referenceOf } from './version-rows.ts';

/** Where a version shall go. */
export interface MoveVersion {
  /** In any case. */
  readonly stage?: string;
  readonly reason?: string;
  /** Where the policy asks for it (by default on the way to ARCHIVED): that it is really meant. */
  readonly confirm?: boolean;
  /** Semver of the version that takes the place of one that is archived while it is deployed. */
  readonly replacement?: string;
  /** What is known of the approval; kept in the reason. */
  readonly approvalMetadata?: Readonly<Record<string, unknown>>;
}

/** A request to move a version, and the version as it is then. */
export interface Moved {
  readonly transition: StageTransition;
  readonly version: ModelVersion;
}

interface Decision {
  readonly comment?: string;
}

interface OneTransition {
  readonly transitionId: string;
}

const moveFields: { readonly [K in keyof MoveVersion]-?: z.ZodType } = {
  stage: anyStage.optional(),
  reason: z.string().min(1).max(2000).optional(),
  confirm: z.boolean().describe('Where the policy asks for it: that it is really meant').optional(),
  replacement: z.string().describe('Of one that is archived while it is deployed').optional(),
  approvalMetadata: looseObject.describe('Kept in the reason').optional(),
};
const decision = asked<Decision>({ comment: z.string().max(2000).optional() }).optional() as never;
const moved = answered<Moved>('Moved', { transition, version: modelVersion });
const spellings = {
  new_stage: 'stage',
  newStage: 'stage',
  to: 'stage',
  target_stage: 'stage',
  targetStage: 'stage',
};

/** Stages of versions. */
export const stageRows: {
  readonly setStage: Route<OneVersion & { readonly body: MoveVersion }, Moved>;
  readonly promote: Route<OneVersion & { readonly body?: MoveVersion }, Moved>;
  readonly transitions: Route<OneVersion, { readonly transitions: readonly StageTransition[] }>;
  readonly approveVersion: Route<OneVersion & { readonly body?: Decision }, StageTransition>;
  readonly get: Route<OneTransition, StageTransition>;
  readonly approve: Route<OneTransition & { readonly body?: Decision }, StageTransition>;
  readonly reject: Route<OneTransition & { readonly body?: Decision }, StageTransition>;
  readonly withdraw: Route<OneTransition & { readonly body?: Decision }, StageTransition>;
} = {
  setStage: {
    method: 'PUT',
    path: '/models/{name}/versions/{version}/stage',
    revisions: ofVersion,
    summary:
      'Asks for a version to move to a stage; it moves, or waits for approvals, as the policy says',
    permission: 'model.promote',
    spellings,
    params: versionParam,
    body: asked<MoveVersion>({ ...moveFields, stage: anyStage }),
    answers: { as: 'json', schema: moved },
    example: {
      name: 'churn',
      version: '1.0.0',
      body: { stage: 'Staging', approvalMetadata: { approver: 'data-science-lead' } },
    },
    run: (call) => move(call, stageOf(call.input.body.stage ?? ''), call.input.body),
  },
  promote: {
    method: 'POST',
    path: '/models/{name}/versions/{version}/promote',
    revisions: ofVersion,
    summary: 'Asks for a version to move up: to the stage that is named, else to the next one',
    permission: 'model.promote',
    spellings,
    params: versionParam,
    body: asked<MoveVersion>(moveFields).optional() as never,
    answers: { as: 'json', schema: moved },
    example: { name: 'churn', version: '1.0.0', body: { reason: 'Better on last month' } },
    async run(call) {
      const { body = {} } = call.input;
      if (body.stage !== undefined) return move(call, stageOf(body.stage), body);
      const { stage, version, model } = await call.services.registry.resolve(
        referenceOf(call.input),
      );
      const next = ({ DEVELOPMENT: 'STAGING', STAGING: 'PRODUCTION' } as const)[stage as string];
      if (next !== undefined) return move(call, next, body);
      throw refusal(
        409,
        'CONFLICT',
        `${model}@${version} is in ${stage}; nothing lies above that. Name the stage that is meant.`,
      );
    },
  },
  transitions: {
    method: 'GET',
    path: '/models/{name}/versions/{version}/transitions',
    summary: 'What a version was asked to become, newest first, with checks and approvals',
    permission: 'model.read',
    params: versionParam,
    answers: {
      as: 'json',
      schema: answered<{ readonly transitions: readonly StageTransition[] }>('Transitions', {
        transitions: z.array(transition),
      }),
    },
    example: { name: 'churn', version: '1.0.0' },
    async run({ services: { registry }, input }) {
      const { id } = await registry.resolve(referenceOf(input));
      return { transitions: await registry.listTransitions(id) };
    },
  },
  approveVersion: {
    method: 'POST',
    path: '/models/{name}/versions/{version}/approve',
    summary: 'Approves what a version waits for',
    permission: 'model.approve',
    params: versionParam,
    body: decision,
    answers: { as: 'json', schema: transition },
    example: { name: 'review-4', version: '1.0.0', body: { comment: 'Looks right' } },
    async run({ services: { registry }, input }) {
      const { id, model, version } = await registry.resolve(referenceOf(input));
      const waiting = (await registry.listTransitions(id)).find(
        ({ status }) => status === 'PENDING',
      );
      if (waiting !== undefined) return registry.approve(waiting.id, input.body);
      throw refusal(
        409,
        'CONFLICT',
        `${model}@${version} waits for no approval; ask for a transition first.`,
      );
    },
  },
  get: {
    method: 'GET',
    path: '/transitions/{transitionId}',
    summary: 'A request to move a version',
    permission: 'model.read',
    answers: { as: 'json', schema: transition },
    example: { transitionId: 'transition-1' },
    run: ({ services, input }) => services.registry.getTransition(input.transitionId),
  },
  approve: decides(
    'approve',
    'Approves it; the approval that decides moves the version',
    'model.approve',
    'transition-1',
  ),
  reject: decides('reject', 'Rejects it', 'model.approve', 'transition-2'),
  withdraw: decides('withdraw', 'Takes one’s own request back', 'model.promote', 'transition-3'),
};

function decides(
  verb: 'approve' | 'reject' | 'withdraw',
  summary: string,
  permission: 'model.approve' | 'model.promote',
  transitionId: string,
): Route<OneTransition & { readonly body?: Decision }, StageTransition> {
  return {
    method: 'POST',
    path: `/transitions/{transitionId}/${verb}`,
    revisions: ofTransition,
    summary,
    permission,
    body: decision,
    answers: { as: 'json', schema: transition },
    example: { transitionId, body: { comment: 'Talked it over' } },
    run: ({ services, input }) => services.registry[verb](input.transitionId, input.body),
  };
}

async function move(
  { services: { registry, principal }, input }: Call<OneVersion>,
  to: Stage,
  { reason, approvalMetadata, confirm, replacement }: MoveVersion,
): Promise<Moved> {
  const { id, version } = await registry.resolve(referenceOf(input));
  const known = approvalMetadata === undefined ? '' : ` ${JSON.stringify(approvalMetadata)}`;
  const asked = await registry.requestTransition({
    model: input.name,
    version,
    to,
    reason: `${reason ?? `Asked for by ${principal.id}.`}${known}`,
    ...(confirm === undefined ? {} : { confirm }),
    ...(replacement === undefined ? {} : { replacement }),
  });
  return { transition: asked, version: await registry.getVersionById(id) };
}
