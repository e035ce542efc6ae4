import type {
  CompareVersionsOptions,
  LineageGraph,
  Model,
  ModelChanges,
  ModelPage,
  ModelSearch,
  NewModel,
  Rollback,
  RollbackOptions,
  StagePolicy,
  VersionComparison,
  VersionPage,
  VersionSearch,
} from '@keelson/core';
import { z } from 'zod';
import type { Route } from '../route.ts';
import { answered, asked, cursor, looseObject, paging, tags, whole } from '../schemas.ts';
import {
  anyStage,
  model,
  modelFields,
  modelVersion,
  type OneModel,
  stageOf,
} from './model-schemas.ts';
import { ofModel } from './revised-records.ts';

/** Which versions to find. What is given holds together. */
export interface SearchVersions extends Omit<VersionSearch, 'signal'> {
  readonly stage?: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** Of the filter language, such as `metrics.auc > 0.9`. */
  readonly metricsFilter?: string;
}

/** Versions to lay side by side: ids, or references such as `fraud@1.4.0`. */
export interface CompareVersions extends CompareVersionsOptions {
  readonly versions: readonly (string | { readonly name: string; readonly version: string })[];
}

/** How far a lineage goes. */
export interface LineageQuery {
  readonly direction?: 'backward' | 'forward' | 'both';
  readonly depth?: number;
  readonly limit?: number;
}

interface WhyGone {
  readonly reason: string;
  readonly force?: boolean;
}

/** What a lineage is asked by. */
export const lineageQuery: { readonly [K in keyof LineageQuery]-?: z.ZodType } = {
  direction: z.enum(['backward', 'forward', 'both']).describe('backward when left out').optional(),
  depth: z.number().int().min(0).max(1000).describe('10 when left out').optional(),
  limit: z.number().int().min(1).max(10_000).describe('Nodes; 1,000 when left out').optional(),
};

/** Why something is deleted. */
export const whyGone: { readonly [K in keyof WhyGone]-?: z.ZodType } = {
  reason: z.string().min(1),
  force: z.boolean().describe('Also where it is used').optional(),
};

/** A lineage as it is answered. */
export const lineageGraph: z.ZodType<LineageGraph> = answered<LineageGraph>('LineageGraph', {
  nodes: z.array(
    z.looseObject({
      id: z.string(),
      type: z.string(),
      label: z.string(),
      depth: whole,
      side: z.string(),
    }),
  ),
  edges: z.array(
    z.looseObject({ from: z.string(), to: z.string(), type: z.string(), role: z.string() }),
  ),
  truncated: z.boolean(),
});

const changedTags = z.record(z.string(), z.string().nullable()).describe('null takes a tag away');
const objects = z.array(looseObject);
const filterText = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** Models under `/api/v1/models`. */
export const modelRows: {
  readonly create: Route<{ readonly body: NewModel }, Model>;
  readonly list: Route<Omit<ModelSearch, 'signal'>, ModelPage>;
  readonly searchVersions: Route<{ readonly body?: SearchVersions }, VersionPage>;
  readonly compare: Route<{ readonly body: CompareVersions }, VersionComparison>;
  readonly get: Route<OneModel, Model>;
  readonly update: Route<OneModel & { readonly body: ModelChanges }, Model>;
  readonly setPolicy: Route<OneModel & { readonly body: { readonly policy: StagePolicy } }, Model>;
  readonly setAlias: Route<
    OneModel & { readonly alias: string; readonly body: { readonly version: string } },
    Model
  >;
  readonly removeAlias: Route<OneModel & { readonly alias: string }, Model>;
  readonly lineage: Route<OneModel & LineageQuery & { readonly version?: string }, LineageGraph>;
  readonly rollback: Route<OneModel & { readonly body: RollbackOptions }, Rollback>;
  readonly delete: Route<OneModel & WhyGone, undefined>;
  readonly restore: Route<OneModel, Model>;
} = {
  create: {
    method: 'POST',
    path: '/models',
    summary: 'Makes a model before its first version',
    permission: 'model.register',
    body: asked<NewModel>({
      name: z.string().min(1).max(255),
      description: z.string().optional(),
      tags: tags.optional(),
      source: z.enum(['EXPERIMENT', 'IMPORT', 'PIPELINE']).optional(),
      policy: looseObject
        .describe('Which transitions its versions may take, and what each asks')
        .optional(),
    }),
    answers: { as: 'json', status: 201, schema: model },
    example: {
      body: { name: 'fraud-detection', description: 'Credit card fraud detection model' },
    },
    run: ({ services, input }) => services.registry.createModel(input.body),
  },
  list: {
    method: 'GET',
    path: '/models',
    summary: 'Finds models, also by a part of the name or a misspelt one',
    permission: 'model.read',
    query: {
      name: z.string().optional(),
      filter: z.string().describe("Such as tags.team = 'risk'").optional(),
      orderBy: z.array(z.string()).optional(),
      includeDeleted: z.boolean().optional(),
      ...paging,
    },
    answers: {
      as: 'json',
      schema: answered<ModelPage>('ModelPage', {
        models: z.array(
          z.looseObject({ ...modelFields, similarity: z.number().optional() } as z.ZodRawShape),
        ),
        cursor,
      }),
    },
    example: { name: 'chrun', limit: 5 },
    run: ({ services, input, signal }) => services.registry.searchModels({ ...input, signal }),
  },
  searchVersions: {
    method: 'POST',
    path: '/models/search',
    summary: 'Finds versions by stage, tags, metrics, lineage',
    permission: 'model.read',
    body: asked<SearchVersions>({
      model: z.union([z.string(), z.array(z.string())]).optional(),
      filter: z.string().describe("Such as metrics.auc > 0.9 AND alias = 'champion'").optional(),
      stage: anyStage.optional(),
      tags: tags.optional(),
      metricsFilter: z.string().optional(),
      versionRange: z.string().describe('Such as ^1.2').optional(),
      orderBy: z.array(z.string()).optional(),
      includeDeleted: z.boolean().optional(),
      ...paging,
    }).optional() as never,
    answers: {
      as: 'json',
      schema: answered<VersionPage>('VersionPage', { versions: z.array(modelVersion), cursor }),
    },
    example: {
      body: {
        model: 'churn',
        stage: 'Development',
        tags: { team: 'sales' },
        metricsFilter: 'metrics.auc > 0.5',
      },
    },
    run({ services, input: { body = {} }, signal }) {
      const { stage, tags: wanted = {}, metricsFilter, filter, ...search } = body;
      const parts = [
        ...(filter === undefined ? [] : [`(${filter})`]),
        ...(metricsFilter === undefined ? [] : [`(${metricsFilter})`]),
        ...(stage === undefined ? [] : [`stage = ${filterText(stageOf(stage))}`]),
        ...Object.entries(wanted).map(
          ([key, value]) => `tags."${key.replaceAll('"', '""')}" = ${filterText(value)}`,
        ),
      ];
      const whole = parts.length === 0 ? {} : { filter: parts.join(' AND ') };
      return services.registry.searchVersions({ ...search, ...whole, signal });
    },
  },
  compare: {
    method: 'POST',
    path: '/models/compare',
    summary: 'Lays 2 to 20 versions side by side',
    permission: 'model.read',
    spellings: { model_versions: 'versions', models: 'versions' },
    body: asked<CompareVersions>({
      versions: z
        .array(z.union([z.string(), z.strictObject({ name: z.string(), version: z.string() })]))
        .min(2)
        .max(20)
        .describe('Ids, references such as fraud@1.4.0, or name and version'),
      baseline: z.string().optional(),
      directions: z.record(z.string(), z.enum(['higher', 'lower'])).optional(),
    }),
    answers: {
      as: 'json',
      schema: answered<VersionComparison>('VersionComparison', {
        versions: objects,
        baseline: z.string(),
        metrics: objects,
        signatures: looseObject,
        files: objects,
        lineage: objects,
        datasets: objects,
        params: objects,
        environment: objects,
        tags: objects,
        same: looseObject,
      }),
    },
    example: { body: { versions: ['churn@1.0.0', { name: 'churn', version: '1.1.0' }] } },
    run({ services, input }) {
      const { versions, ...options } = input.body;
      const references = versions.map((each) =>
        typeof each === 'string' ? each : `${each.name}@${each.version}`,
      );
      return services.registry.compare(references, options);
    },
  },
  get: {
    method: 'GET',
    path: '/models/{name}',
    summary: 'A model',
    permission: 'model.read',
    answers: { as: 'json', schema: model },
    example: { name: 'churn' },
    run: ({ services, input }) => services.registry.getModel(input.name),
  },
  update: {
    method: 'PATCH',
    path: '/models/{name}',
    revisions: ofModel,
    summary: 'Describes and tags a model',
    permission: 'model.update',
    body: asked<ModelChanges>({ description: z.string().optional(), tags: changedTags.optional() }),
    answers: { as: 'json', schema: model },
    example: { name: 'churn', body: { description: 'Who leaves', tags: { team: 'sales' } } },
    run: ({ services, input }) => services.registry.updateModel(input.name, input.body),
  },
  setPolicy: {
    method: 'PUT',
    path: '/models/{name}/policy',
    revisions: ofModel,
    summary: 'Says which transitions its versions may take, and what each asks',
    permission: 'model.policy',
    body: asked<{ readonly policy: StagePolicy }>({ policy: looseObject }),
    answers: { as: 'json', schema: model },
    example: {
      name: 'plain',
      body: {
        policy: {
          transitions: [
            {
              from: 'DEVELOPMENT',
              to: 'STAGING',
              checks: [{ check: 'integrity' }],
              approvals: 0,
              approverRoles: [],
            },
          ],
          singleProduction: true,
          selfApproval: false,
        },
      },
    },
    run: ({ services, input }) => services.registry.setPolicy(input.name, input.body.policy),
  },
  setAlias: {
    method: 'PUT',
    path: '/models/{name}/aliases/{alias}',
    summary: 'Lets an alias point to a version',
    permission: 'model.alias',
    body: asked<{ readonly version: string }>({ version: z.string() }),
    answers: { as: 'json', schema: model },
    example: { name: 'churn', alias: 'champion', body: { version: '1.0.0' } },
    run: ({ services, input }) =>
      services.registry.setAlias(input.name, input.alias, input.body.version),
  },
  removeAlias: {
    method: 'DELETE',
    path: '/models/{name}/aliases/{alias}',
    summary: 'Removes an alias',
    permission: 'model.alias',
    answers: { as: 'json', schema: model },
    example: { name: 'churn', alias: 'champion' },
    run: ({ services, input }) => services.registry.removeAlias(input.name, input.alias),
  },
  lineage: {
    method: 'GET',
    path: '/models/{name}/lineage',
    summary: 'What led to a version, or came of it',
    permission: 'model.read',
    query: { version: z.string().describe('latest when left out').optional(), ...lineageQuery },
    answers: { as: 'json', schema: lineageGraph },
    example: { name: 'churn', version: '1.0.0', depth: 3 },
    async run({ services, input: { name, version = 'latest', ...reach } }) {
      const { id } = await services.registry.resolve(`${name}@${version}`);
      return services.registry.lineage(id, reach);
    },
  },
  rollback: {
    method: 'POST',
    path: '/models/{name}/rollback',
    summary: 'The emergency: the former version comes back into production, without approvals',
    permission: 'model.rollback',
    body: asked<RollbackOptions>({
      reason: z.string().min(1).max(2000),
      from: z.string().describe('Needed where several are in production').optional(),
      to: z.string().describe('The one before when left out').optional(),
    }),
    answers: {
      as: 'json',
      schema: answered<Rollback>('ModelRollback', {
        demoted: modelVersion,
        reinstated: modelVersion,
        incidentId: z.string(),
      }),
    },
    example: { name: 'rolled', body: { reason: 'It refuses every second card' } },
    run: ({ services, input }) => services.registry.rollback(input.name, input.body),
  },
  delete: {
    method: 'DELETE',
    path: '/models/{name}',
    revisions: ofModel,
    summary: 'Deletes a model with its versions; it can be restored',
    permission: 'model.delete',
    query: whyGone,
    answers: { as: 'nothing' },
    example: { name: 'plain', reason: 'Replaced' },
    async run({ services, input: { name, ...why } }) {
      await services.registry.deleteModel(name, why);
      return undefined;
    },
  },
  restore: {
    method: 'POST',
    path: '/models/{name}/restore',
    summary: 'Brings a deleted model back',
    permission: 'model.delete',
    answers: { as: 'json', schema: model },
    example: { name: 'plain' },
    run: ({ services, input }) => services.registry.restoreModel(input.name),
  },
};
