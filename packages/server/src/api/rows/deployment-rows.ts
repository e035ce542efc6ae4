import type {
  CreateDeployment,
  Deployment,
  DeploymentFilter,
  DeploymentPage,
  Services,
} from '@keelson/core';
import { z } from 'zod';
import { badInput } from '../read-input.ts';
import type { Route } from '../route.ts';
import { answered, asked, cursor, looseObject, paging, tags, time } from '../schemas.ts';
import {
  deployment,
  deploymentStatus,
  environment,
  type OneDeployment,
  reason,
  reasonOf,
} from './deployment-schemas.ts';
import { ofDeployment } from './revised-records.ts';

/** A deployment to make: its version by id, or by model and version. */
export interface NewDeployment
  extends Omit<CreateDeployment, 'name' | 'versionId' | 'environment'> {
  /** The model's when left out. */
  readonly name?: string;
  readonly versionId?: string;
  readonly model?: string;
  readonly version?: string;
  /** By the version's stage when left out. */
  readonly environment?: CreateDeployment['environment'];
  /** What shall serve it; kept as the tag `serving_framework`. */
  readonly servingFramework?: string;
}

/** Where a model answers. */
export interface Endpoint {
  readonly deployment: string;
  readonly model: string;
  readonly environment: Deployment['environment'];
  readonly status: Deployment['status'];
  readonly endpointUrl?: string;
  readonly versions: readonly {
    readonly versionId: string;
    readonly version: string;
    readonly stage: string;
    readonly weightPercent: number;
  }[];
}

/** How a deployment is. */
export interface DeploymentHealthAnswer {
  readonly deployment: string;
  readonly status: Deployment['status'];
  readonly lastHealthCheckAt?: number;
  readonly activeRolloutId?: string;
  /** What alerts keep from happening to it until they are acknowledged. */
  readonly freezes: readonly object[];
}

interface Remove extends OneDeployment {
  readonly reason: string;
  readonly graceMs?: number;
}

type Reason = { readonly reason?: string };

const config = {
  serving: looseObject.describe('How its versions are run').optional(),
  scaling: looseObject.optional(),
  resources: looseObject.optional(),
  healthCheck: looseObject.optional(),
  traffic: looseObject.optional(),
  warmMs: z.number().min(0).optional(),
  keptRevisions: z.number().int().min(2).optional(),
  endpointUrl: z.string().optional(),
};
const reasonBody = asked<Reason>({ reason }).optional() as never;

/** Deployments under `/api/v1/deployments`. */
export const deploymentRows: {
  readonly create: Route<{ readonly body: NewDeployment }, Deployment>;
  readonly list: Route<DeploymentFilter, DeploymentPage>;
  readonly endpoints: Route<
    { readonly model?: string; readonly stage?: string },
    { readonly endpoints: readonly Endpoint[] }
  >;
  readonly get: Route<OneDeployment, Deployment>;
  readonly health: Route<OneDeployment, DeploymentHealthAnswer>;
  readonly configure: Route<
    OneDeployment & { readonly body: Record<string, unknown> & Reason },
    Deployment
  >;
  readonly stop: Route<OneDeployment & { readonly body?: Reason }, Deployment>;
  readonly start: Route<OneDeployment & { readonly body?: Reason }, Deployment>;
  readonly remove: Route<Remove, Deployment>;
} = {
  create: {
    method: 'POST',
    path: '/deployments',
    aliases: ['/deploy'],
    summary: 'Deploys a version under a name',
    permission: 'deployment.create',
    spellings: { model_name: 'model', modelName: 'model', deployment_name: 'name' },
    body: asked<NewDeployment>({
      name: z
        .string()
        .min(1)
        .max(255)
        .describe('It stands in URLs; the model’s when left out')
        .optional(),
      versionId: z.string().describe('Or model and version').optional(),
      model: z.string().optional(),
      version: z
        .string()
        .describe('1.4.0, an alias, latest, production; latest when left out')
        .optional(),
      environment: environment.optional(),
      sticky: looseObject.optional(),
      tags: tags.optional(),
      reason,
      onPromotion: looseObject.optional(),
      ifExists: z.enum(['error', 'reuse']).optional(),
      servingFramework: z.string().max(255).optional(),
      ...config,
    }),
    answers: { as: 'json', status: 201, schema: deployment },
    example: {
      body: { name: 'new-live', model: 'served', version: '1.0.0', environment: 'STAGING' },
    },
    async run({ services, input: { body } }) {
      const { model, version, versionId, servingFramework, tags: given, ...rest } = body;
      const found = await versionOf(services, { versionId, model, version });
      const framework =
        servingFramework === undefined ? {} : { serving_framework: servingFramework };
      const environmentOf =
        found.stage === 'PRODUCTION' || found.stage === 'STAGING' ? found.stage : 'DEVELOPMENT';
      return services.deployments.create({
        name: found.model,
        environment: environmentOf,
        ...rest,
        versionId: found.id,
        tags: { ...given, ...framework },
      });
    },
  },
  list: {
    method: 'GET',
    path: '/deployments',
    summary: 'Deployments, by name',
    permission: 'deployment.read',
    query: {
      model: z.string().optional(),
      environment: environment.optional(),
      status: deploymentStatus.optional(),
      inRollout: z.boolean().optional(),
      ...paging,
    },
    answers: {
      as: 'json',
      schema: answered<DeploymentPage>('DeploymentPage', {
        deployments: z.array(deployment),
        cursor,
      }),
    },
    example: { model: 'served' },
    run: ({ services, input }) => services.deployments.list(input),
  },
  endpoints: {
    method: 'GET',
    path: '/deployments/endpoints',
    summary: 'Where models answer now, and with which versions',
    permission: 'deployment.read',
    spellings: { model_name: 'model', modelName: 'model' },
    query: {
      model: z.string().optional(),
      stage: z.string().describe('Only where a version of this stage answers').optional(),
    },
    answers: {
      as: 'json',
      schema: answered<{ readonly endpoints: readonly Endpoint[] }>('Endpoints', {
        endpoints: z.array(
          answered<Endpoint>('Endpoint', {
            deployment: z.string(),
            model: z.string(),
            environment,
            status: deploymentStatus,
            endpointUrl: z.string().optional(),
            versions: z.array(
              z.looseObject({
                versionId: z.string(),
                version: z.string(),
                stage: z.string(),
                weightPercent: z.number(),
              }),
            ),
          }),
        ),
      }),
    },
    example: { model: 'served' },
    async run({ services, input: { model, stage } }) {
      const endpoints: Endpoint[] = [];
      let next: string | undefined;
      do {
        const filter = {
          ...(model === undefined ? {} : { model }),
          ...(next === undefined ? {} : { cursor: next }),
        };
        const page = await services.deployments.list(filter);
        for (const each of page.deployments) endpoints.push(await endpointOf(services, each));
        next = page.cursor;
      } while (next !== undefined);
      const wanted = stage?.toUpperCase();
      return {
        endpoints: endpoints.filter(
          ({ versions }) =>
            wanted === undefined || versions.some((version) => version.stage === wanted),
        ),
      };
    },
  },
  get: {
    method: 'GET',
    path: '/deployments/{deployment}',
    summary: 'A deployment',
    permission: 'deployment.read',
    answers: { as: 'json', schema: deployment },
    example: { deployment: 'live' },
    run: ({ services, input }) => services.deployments.get(input.deployment),
  },
  health: {
    method: 'GET',
    path: '/deployments/{deployment}/health',
    summary: 'How a deployment is, as the processes that serve it say',
    permission: 'deployment.read',
    answers: {
      as: 'json',
      schema: answered<DeploymentHealthAnswer>('DeploymentHealth', {
        deployment: z.string(),
        status: deploymentStatus,
        lastHealthCheckAt: time.optional(),
        activeRolloutId: z.string().optional(),
        freezes: z.array(looseObject),
      }),
    },
    example: { deployment: 'live' },
    async run({ services: { deployments }, input }) {
      const found = await deployments.get(input.deployment);
      const { name, status, lastHealthCheckAt, activeRolloutId } = found;
      return {
        deployment: name,
        status,
        ...(lastHealthCheckAt === undefined ? {} : { lastHealthCheckAt }),
        ...(activeRolloutId === undefined ? {} : { activeRolloutId }),
        freezes: await deployments.freezes(name),
      };
    },
  },
  configure: {
    method: 'PATCH',
    path: '/deployments/{deployment}',
    revisions: ofDeployment,
    summary: 'Changes how it is run, at once, as a revision; null takes a part away',
    permission: 'deployment.deploy',
    body: asked<Record<string, unknown> & Reason>({
      serving: looseObject.optional(),
      scaling: looseObject.nullable().optional(),
      resources: looseObject.optional(),
      healthCheck: looseObject.optional(),
      traffic: looseObject.optional(),
      warmMs: z.number().min(0).nullable().optional(),
      keptRevisions: z.number().int().min(2).nullable().optional(),
      endpointUrl: z.string().nullable().optional(),
      tags: z.record(z.string(), z.string().nullable()).optional(),
      onPromotion: looseObject.nullable().optional(),
      reason,
    }),
    answers: { as: 'json', schema: deployment },
    example: { deployment: 'live', body: { keptRevisions: 5, reason: 'Fewer are enough' } },
    run({ services: { deployments, principal }, input }) {
      const { reason: why, ...change } = input.body;
      return deployments.configure(input.deployment, change, reasonOf(why, principal));
    },
  },
  stop: switches('stop', 'Unloads its versions; nothing is answered until it is started'),
  start: switches('start', 'Answers again'),
  remove: {
    method: 'DELETE',
    path: '/deployments/{deployment}',
    revisions: ofDeployment,
    summary: 'Removes it, once a time of grace has passed',
    permission: 'deployment.deploy',
    query: {
      reason: z.string().min(1),
      graceMs: z.number().min(0).describe('60,000 when left out').optional(),
    },
    answers: { as: 'json', status: 202, schema: deployment },
    example: { deployment: 'unused', reason: 'Nobody asks it' },
    run: ({ services, input: { deployment: name, ...options } }) =>
      services.deployments.remove(name, options),
  },
};

function switches(
  verb: 'stop' | 'start',
  summary: string,
): Route<OneDeployment & { readonly body?: Reason }, Deployment> {
  return {
    method: 'POST',
    path: `/deployments/{deployment}/${verb}`,
    revisions: ofDeployment,
    summary,
    permission: 'deployment.deploy',
    body: reasonBody,
    answers: { as: 'json', schema: deployment },
    example: { deployment: 'unused', body: { reason: 'Over night' } },
    run: ({ services: { deployments, principal }, input }) =>
      deployments[verb](input.deployment, reasonOf(input.body?.reason, principal)),
  };
}

async function endpointOf({ deployments, registry }: Services, of: Deployment): Promise<Endpoint> {
  const { route } = await deployments.route(of.name);
  const answering = route.targets.filter(({ weightPercent }) => weightPercent > 0);
  const versions = await Promise.all(
    answering.map(async ({ versionId, weightPercent }) => {
      const { version, stage } = await registry.getVersionById(versionId);
      return { versionId, version, stage, weightPercent };
    }),
  );
  const { name, model, environment: where, status, endpointUrl } = of;
  const url = endpointUrl === undefined ? {} : { endpointUrl };
  return { deployment: name, model, environment: where, status, ...url, versions };
}

/** A version by its id, or by model and version; the deployment's model where only a version is named. */
export async function versionOf(
  { registry }: Pick<Services, 'registry'>,
  {
    versionId,
    model,
    version = 'latest',
  }: { readonly [K in 'versionId' | 'model' | 'version']?: string | undefined },
): ReturnType<Services['registry']['getVersionById']> {
  if (versionId !== undefined) return registry.getVersionById(versionId);
  if (model !== undefined) return registry.resolve(`${model}@${version}`);
  throw badInput([{ path: 'body.versionId', message: 'is missing: say it, or model and version' }]);
}
