import type {
  Deployment,
  DeploymentRollback,
  DeployVersion,
  Revision,
  Rollout,
  VersionedRoute,
} from '@keelson/core';
import { z } from 'zod';
import { refusal } from '../problem.ts';
import { badInput } from '../read-input.ts';
import type { Call, Route } from '../route.ts';
import { answered, asked, cursor, looseObject, paging, whole } from '../schemas.ts';
import { versionOf } from './deployment-rows.ts';
import {
  deployment,
  type OneDeployment,
  reason,
  reasonOf,
  rollout,
  route,
} from './deployment-schemas.ts';
import { ofDeployment, ofRollout } from './revised-records.ts';

/** Which version answers how much. */
export interface SetTraffic {
  /** Ids or versions such as `1.2.0` → percent; together 100. */
  readonly versionWeights: Readonly<Record<string, number>>;
  readonly reason?: string;
}

/** How many replicas. */
export interface Scale {
  /** Fixed. */
  readonly targetReplicas?: number;
  /** Following the load. */
  readonly min?: number;
  readonly max?: number;
  readonly reason?: string;
}

/** Where to go back to. */
export interface RollBack {
  /** Semver of a version that was deployed. */
  readonly targetVersion?: string;
  /** The number of a revision. */
  readonly to?: number;
  readonly reason?: string;
  readonly watchMs?: number;
}

/** A version to deploy step by step. */
export interface Deploy extends Omit<DeployVersion, 'versionId' | 'reason'> {
  readonly versionId?: string;
  readonly version?: string;
  readonly reason?: string;
}

interface OneRollout {
  readonly rolloutId: string;
}

interface Revisions {
  readonly revisions: readonly Revision[];
  readonly cursor?: string;
}

type Reason = { readonly reason?: string };

const looseRevision = z.looseObject({
  id: z.string(),
  number: whole,
  rolloutStatus: z.string(),
}) as never;

/** Traffic, replicas, rollouts and ways back of deployments. */
export const rolloutRows: {
  readonly route: Route<OneDeployment, VersionedRoute>;
  readonly setTraffic: Route<OneDeployment & { readonly body: SetTraffic }, VersionedRoute>;
  readonly scale: Route<OneDeployment & { readonly body: Scale }, Deployment>;
  readonly rollback: Route<OneDeployment & { readonly body?: RollBack }, DeploymentRollback>;
  readonly revisions: Route<
    OneDeployment & { readonly limit?: number; readonly cursor?: string },
    Revisions
  >;
  readonly deploy: Route<OneDeployment & { readonly body: Deploy }, Rollout>;
  readonly list: Route<OneDeployment, { readonly rollouts: readonly Rollout[] }>;
  readonly get: Route<OneRollout, Rollout>;
  readonly pause: Route<OneRollout & { readonly body?: Reason }, Rollout>;
  readonly resume: Route<OneRollout & { readonly body?: Reason }, Rollout>;
  readonly promote: Route<
    OneRollout & { readonly body?: Reason & { readonly to?: 'next' | 'end' } },
    Rollout
  >;
  readonly abort: Route<OneRollout & { readonly body?: Reason }, Rollout>;
} = {
  route: {
    method: 'GET',
    path: '/deployments/{deployment}/traffic',
    summary: 'Who answers now',
    permission: 'deployment.read',
    answers: { as: 'json', schema: route },
    example: { deployment: 'live' },
    run: ({ services, input }) => services.deployments.route(input.deployment),
  },
  setTraffic: {
    method: 'PUT',
    path: '/deployments/{deployment}/traffic',
    revisions: ofDeployment,
    summary:
      'All traffic to one version at once, or a part of it to a second one until a person decides',
    description:
      'Two versions, one of which answers now, begin a rollout of one step that waits for `promote` or `abort`.',
    permission: 'deployment.deploy',
    body: asked<SetTraffic>({
      versionWeights: z
        .record(z.string(), z.number().min(0).max(100))
        .describe('Ids or versions → percent; together 100'),
      reason,
    }),
    answers: { as: 'json', schema: route },
    example: {
      deployment: 'live',
      body: { versionWeights: { '2.0.0': 100 }, reason: 'It is better' },
    },
    run: setTraffic,
  },
  scale: {
    method: 'PUT',
    path: '/deployments/{deployment}/scale',
    revisions: ofDeployment,
    summary: 'How many replicas: a fixed number, or between two as the load asks',
    permission: 'deployment.deploy',
    body: asked<Scale>({
      targetReplicas: z.number().int().min(1).optional(),
      min: z.number().int().min(0).optional(),
      max: z.number().int().min(1).optional(),
      reason,
    }),
    answers: { as: 'json', schema: deployment },
    example: { deployment: 'live', body: { targetReplicas: 3, reason: 'Black Friday' } },
    run({ services: { deployments, principal }, input: { deployment: name, body } }) {
      const { targetReplicas, min, max } = body;
      const why = reasonOf(body.reason, principal);
      if (targetReplicas !== undefined && min === undefined && max === undefined) {
        return deployments.configure(
          name,
          { scaling: null, serving: { replicas: targetReplicas } },
          why,
        );
      }
      if (targetReplicas === undefined && min !== undefined && max !== undefined) {
        return deployments.configure(name, { scaling: { min, max } }, why);
      }
      throw badInput([{ path: 'body', message: 'takes targetReplicas, or min and max' }]);
    },
  },
  rollback: {
    method: 'POST',
    path: '/deployments/{deployment}/rollback',
    revisions: ofDeployment,
    summary: 'Back to an earlier revision, with all of the traffic at once',
    permission: 'deployment.deploy',
    body: asked<RollBack>({
      targetVersion: z.string().describe('Semver of a version that was deployed').optional(),
      to: whole
        .describe('The number of a revision; the newest known-good one when both are left out')
        .optional(),
      reason,
      watchMs: z.number().min(0).optional(),
    }).optional() as never,
    answers: {
      as: 'json',
      schema: answered<DeploymentRollback>('DeploymentRollback', {
        deployment,
        revision: looseRevision,
        signatureBreaks: z.array(z.string()),
      }),
    },
    example: {
      deployment: 'back',
      body: { targetVersion: '1.0.0', reason: 'It refuses every second card' },
    },
    async run({ services: { deployments, principal }, input: { deployment: name, body = {} } }) {
      const { targetVersion, to, watchMs } = body;
      const number =
        targetVersion === undefined ? to : await revisionOf(deployments, name, targetVersion);
      return deployments.rollback(name, {
        reason: reasonOf(body.reason, principal),
        ...(number === undefined ? {} : { to: number }),
        ...(watchMs === undefined ? {} : { watchMs }),
      });
    },
  },
  revisions: {
    method: 'GET',
    path: '/deployments/{deployment}/revisions',
    summary: 'Every change of a deployment, newest first',
    permission: 'deployment.read',
    query: paging,
    answers: {
      as: 'json',
      schema: answered<Revisions>('Revisions', { revisions: z.array(looseRevision), cursor }),
    },
    example: { deployment: 'live' },
    run: ({ services, input: { deployment: name, ...page } }) =>
      services.deployments.listRevisions(name, page),
  },
  deploy: {
    method: 'POST',
    path: '/deployments/{deployment}/rollouts',
    revisions: ofDeployment,
    summary: 'Deploys a version step by step, by a strategy and its gates',
    permission: 'deployment.deploy',
    body: asked<Deploy>({
      versionId: z.string().describe('Or version, of the deployment’s model').optional(),
      version: z.string().optional(),
      strategy: z
        .enum(['canary', 'blue-green', 'rolling', 'immediate', 'shadow', 'suggested'])
        .optional(),
      policy: looseObject.describe('Numbers of the strategy; each has a default').optional(),
      reason,
      requestKey: z
        .string()
        .min(1)
        .max(500)
        .describe('The same again answers the first rollout')
        .optional(),
      at: z.number().optional(),
    }),
    answers: { as: 'json', status: 202, schema: rollout },
    example: { deployment: 'fresh', body: { version: '2.0.0', strategy: 'canary' } },
    async run({ services, input: { deployment: name, body } }) {
      const { version, versionId, reason: why, ...options } = body;
      const { model } = await services.deployments.get(name);
      const { id } = await versionOf(services, { versionId, model, version });
      return services.deployments.deploy(name, {
        ...options,
        versionId: id,
        reason: reasonOf(why, services.principal),
      });
    },
  },
  list: {
    method: 'GET',
    path: '/deployments/{deployment}/rollouts',
    summary: 'The rollouts of a deployment, oldest first',
    permission: 'deployment.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly rollouts: readonly Rollout[] }>('Rollouts', {
        rollouts: z.array(rollout),
      }),
    },
    example: { deployment: 'live' },
    run: async ({ services, input }) => ({
      rollouts: await services.deployments.listRollouts(input.deployment),
    }),
  },
  get: {
    method: 'GET',
    path: '/rollouts/{rolloutId}',
    summary: 'A rollout: its steps, what was decided, on which evidence',
    permission: 'deployment.read',
    answers: { as: 'json', schema: rollout },
    example: { rolloutId: 'rollout-1' },
    run: ({ services, input }) => services.deployments.getRollout(input.rolloutId),
  },
  pause: acts('pause', 'Stays at its step; its gates go on turning it back'),
  resume: acts('resume', 'Goes on from where it was paused'),
  promote: {
    method: 'POST',
    path: '/rollouts/{rolloutId}/promote',
    revisions: ofRollout,
    summary: 'To the next step, or to the end, whatever the gates say',
    permission: 'deployment.deploy',
    body: asked<Reason & { readonly to?: 'next' | 'end' }>({
      reason,
      to: z.enum(['next', 'end']).optional(),
    }).optional() as never,
    answers: { as: 'json', schema: rollout },
    example: { rolloutId: 'rollout-1', body: { to: 'next' } },
    run({ services: { deployments, principal }, input: { rolloutId, body = {} } }) {
      const options = body.to === undefined ? {} : { to: body.to };
      return deployments.promoteRollout(rolloutId, reasonOf(body.reason, principal), options);
    },
  },
  abort: acts('abort', 'Back to the baseline'),
};

function acts(
  verb: 'pause' | 'resume' | 'abort',
  summary: string,
): Route<OneRollout & { readonly body?: Reason }, Rollout> {
  const method = (
    { pause: 'pauseRollout', resume: 'resumeRollout', abort: 'abortRollout' } as const
  )[verb];
  return {
    method: 'POST',
    path: `/rollouts/{rolloutId}/${verb}`,
    revisions: ofRollout,
    summary,
    permission: 'deployment.deploy',
    body: asked<Reason>({ reason }).optional() as never,
    answers: { as: 'json', schema: rollout },
    example: { rolloutId: 'rollout-1', body: { reason: 'Lunch' } },
    run: ({ services: { deployments, principal }, input }) =>
      deployments[method](input.rolloutId, reasonOf(input.body?.reason, principal)),
  };
}

async function setTraffic({
  services,
  input: { deployment: name, body },
}: Call<OneDeployment & { readonly body: SetTraffic }>): Promise<VersionedRoute> {
  const { deployments, principal } = services;
  const why = reasonOf(body.reason, principal);
  const { model } = await deployments.get(name);
  const weights = await Promise.all(
    Object.entries(body.versionWeights)
      .filter(([, percent]) => percent > 0)
      .map(async ([version, percent]) => {
        const isId = /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(version);
        const { id } = await versionOf(
          services,
          isId ? { versionId: version } : { model, version },
        );
        return { id, percent };
      }),
  );
  const total = weights.reduce((sum, { percent }) => sum + percent, 0);
  if (Math.abs(total - 100) > 1e-6) {
    throw badInput([{ path: 'body.versionWeights', message: `sums to ${total}, not to 100` }]);
  }
  const [first] = weights;
  if (weights.length === 1 && first !== undefined)
    return deployments.setVersion(name, first.id, why);
  const { route: now } = await deployments.route(name);
  const baseline = now.targets.find(({ weightPercent }) => weightPercent === 100)?.versionId;
  const candidate = weights.find(({ id }) => id !== baseline);
  if (
    weights.length !== 2 ||
    candidate === undefined ||
    !weights.some(({ id }) => id === baseline)
  ) {
    const message =
      'Traffic is split between the version that answers now and one other; use an A/B test for more, and promote or abort a rollout that is under way.';
    throw refusal(409, 'CONFLICT', message);
  }
  await deployments.startRollout({
    deployment: name,
    versionId: candidate.id,
    reason: why,
    steps: [
      {
        weightPercent: candidate.percent,
        shadow: false,
        manual: true,
        gates: [],
        minDurationMs: 0,
      },
    ],
  });
  return deployments.route(name);
}

/** The newest revision, before the one in force, with which a version answered. */
async function revisionOf(
  deployments: Call<never>['services']['deployments'],
  name: string,
  version: string,
): Promise<number> {
  const { currentRevision } = await deployments.get(name);
  const { revisions } = await deployments.listRevisions(name, { limit: 1000 });
  const found = revisions.find(
    ({ number, after }) => number !== currentRevision && after.version.endsWith(`@${version}`),
  );
  if (found !== undefined) return found.number;
  throw refusal(
    404,
    'NOT_FOUND',
    `Deployment ${name} never had version ${version}; its revisions tell what it had.`,
  );
}
