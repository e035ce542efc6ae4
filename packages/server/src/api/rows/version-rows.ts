import type {
  LineageGraph,
  ModelVersion,
  RegisterOptions,
  VersionChanges,
  VersionVerification,
} from '@keelson/core';
import { z } from 'zod';
import { badInput } from '../read-input.ts';
import type { Call, Content, Route } from '../route.ts';
import { answered, anyJson, asked, exampleRun, looseObject, tags } from '../schemas.ts';
import { type LineageQuery, lineageGraph, lineageQuery, whyGone } from './model-rows.ts';
import {
  anyStage,
  modelVersion,
  type OneModel,
  type OneVersion,
  versionFields,
  versionParam,
} from './model-schemas.ts';
import { ofVersion } from './revised-records.ts';
import { figures } from './run-schemas.ts';

/** A version to register from the files of a run. */
export interface RegisterVersion
  extends Pick<
    RegisterOptions,
    | 'version'
    | 'bump'
    | 'metrics'
    | 'tags'
    | 'description'
    | 'lineage'
    | 'format'
    | 'signature'
    | 'trust'
  > {
  readonly runId?: string;
  /** The run's file or directory; where there is but one model, it need not be said. */
  readonly path?: string;
  /** `runs:/<run>/<path>`, in the place of both; or the path alone. */
  readonly artifactUri?: string;
}

/** A version, with its lineage where that is asked for. */
export interface VersionWithLineage extends ModelVersion {
  readonly lineageGraph?: LineageGraph;
}

interface WhyGone {
  readonly reason: string;
  readonly force?: boolean;
}

const changedTags = z.record(z.string(), z.string().nullable()).describe('null takes a tag away');

/** Versions under `/api/v1/models/{name}/versions`. */
export const versionRows: {
  readonly register: Route<OneModel & { readonly body: RegisterVersion }, ModelVersion>;
  readonly list: Route<OneModel, { readonly versions: readonly ModelVersion[] }>;
  readonly latest: Route<OneModel & { readonly stage?: string }, ModelVersion>;
  readonly get: Route<OneVersion & { readonly includeLineage?: boolean }, VersionWithLineage>;
  readonly update: Route<OneVersion & { readonly body: VersionChanges }, ModelVersion>;
  readonly lineage: Route<OneVersion & LineageQuery, LineageGraph>;
  readonly artifact: Route<OneVersion & { readonly path?: string }, Content>;
  readonly verify: Route<OneVersion, VersionVerification>;
  readonly deprecate: Route<
    OneVersion & { readonly body: { readonly reason: string; readonly replacement?: string } },
    ModelVersion
  >;
  readonly undeprecate: Route<OneVersion, ModelVersion>;
  readonly delete: Route<OneVersion & WhyGone, undefined>;
  readonly restore: Route<OneVersion, ModelVersion>;
} = {
  register: {
    method: 'POST',
    path: '/models/{name}/versions',
    summary:
      'Registers a version from the files of a run; the same request again answers the same version',
    permission: 'model.register',
    spellings: { metadata: 'tags' },
    body: asked<RegisterVersion>({
      runId: z.string().optional(),
      path: z.string().min(1).describe('File or directory among the run’s artifacts').optional(),
      artifactUri: z.string().describe('runs:/<run>/<path>, or the path alone').optional(),
      version: z.string().describe('Semver; or say a bump').optional(),
      bump: z.enum(['major', 'minor', 'patch', 'auto']).optional(),
      metrics: figures.optional(),
      tags: tags.optional(),
      description: z.string().max(1024).optional(),
      lineage: looseObject.optional(),
      format: z.string().describe('Read from the files when left out').optional(),
      signature: looseObject.optional(),
      trust: z.enum(['files', 'caller']).optional(),
    }),
    answers: { as: 'json', status: 201, schema: modelVersion },
    example: {
      name: 'fraud-detection',
      body: {
        version: '1.0.0',
        runId: exampleRun,
        path: 'model',
        description: 'Initial production model',
        format: 'CUSTOM',
      },
    },
    async run(call) {
      const { runId, path, artifactUri, ...facts } = call.input.body;
      const from = await originOf(call, { runId, path, artifactUri });
      return call.services.registry.register({
        ...facts,
        model: call.input.name,
        from,
        signal: call.signal,
      });
    },
  },
  list: {
    method: 'GET',
    path: '/models/{name}/versions',
    summary: 'The versions of a model, oldest first',
    permission: 'model.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly versions: readonly ModelVersion[] }>('Versions', {
        versions: z.array(modelVersion),
      }),
    },
    example: { name: 'churn' },
    run: async ({ services, input }) => ({
      versions: await services.registry.listVersions(input.name),
    }),
  },
  latest: {
    method: 'GET',
    path: '/models/{name}/versions/latest',
    summary: 'The newest version, of all or of a stage',
    permission: 'model.read',
    query: { stage: anyStage.optional() },
    answers: { as: 'json', schema: modelVersion },
    example: { name: 'churn', stage: 'Development' },
    run: ({ services, input: { name, stage = 'latest' } }) =>
      services.registry.resolve(`${name}@${stage.toLowerCase()}`),
  },
  get: {
    method: 'GET',
    path: '/models/{name}/versions/{version}',
    summary: 'A version',
    permission: 'model.read',
    params: versionParam,
    query: { includeLineage: z.boolean().optional() },
    answers: {
      as: 'json',
      schema: answered<VersionWithLineage>('VersionWithLineage', {
        ...versionFields,
        lineageGraph: lineageGraph.optional(),
      }),
    },
    example: { name: 'churn', version: '1.0.0', includeLineage: true },
    async run({ services: { registry }, input }) {
      const found = await registry.resolve(referenceOf(input));
      if (input.includeLineage !== true) return found;
      return { ...found, lineageGraph: await registry.lineage(found.id) };
    },
  },
  update: {
    method: 'PATCH',
    path: '/models/{name}/versions/{version}',
    revisions: ofVersion,
    summary: 'Describes and tags a version; its files and origin never change',
    permission: 'model.update',
    params: versionParam,
    body: asked<VersionChanges>({
      description: z.string().max(1024).optional(),
      tags: changedTags.optional(),
    }),
    answers: { as: 'json', schema: modelVersion },
    example: { name: 'churn', version: '1.0.0', body: { tags: { team: 'sales' } } },
    async run({ services: { registry }, input }) {
      const { id } = await registry.resolve(referenceOf(input));
      return registry.updateVersion(id, input.body);
    },
  },
  lineage: {
    method: 'GET',
    path: '/models/{name}/versions/{version}/lineage',
    summary: 'What led to a version, or came of it',
    permission: 'model.read',
    params: versionParam,
    query: lineageQuery,
    answers: { as: 'json', schema: lineageGraph },
    example: { name: 'churn', version: '1.0.0', depth: 3 },
    async run({ services: { registry }, input: { name, version, ...reach } }) {
      const { id } = await registry.resolve(referenceOf({ name, version }));
      return registry.lineage(id, reach);
    },
  },
  artifact: {
    method: 'GET',
    path: '/models/{name}/versions/{version}/artifact',
    summary: 'The bytes of a file of a version; ranges too',
    permission: 'model.read',
    params: versionParam,
    query: {
      path: z.string().min(1).describe('May be left out where there is one file').optional(),
    },
    answers: { as: 'bytes', mediaTypes: ['application/octet-stream'] },
    failures: [416],
    example: { name: 'churn', version: '1.0.0' },
    async run({ services: { registry }, input }) {
      const { id, files } = await registry.resolve(referenceOf(input));
      const path = input.path ?? (files.length === 1 ? files[0]?.path : undefined);
      if (path === undefined) {
        const there = files.slice(0, 20).map((each) => each.path);
        throw badInput([
          { path: 'query.path', message: `is missing: there are ${there.join(', ')}` },
        ]);
      }
      const file = files.find((each) => each.path === path);
      const known =
        file === undefined ? {} : { sizeBytes: file.sizeBytes, etag: `"${file.sha256}"` };
      // Of a file that is not there it is the registry that says so.
      if (file === undefined) await registry.openFile(id, path);
      return {
        mediaType: 'application/octet-stream',
        ...known,
        fileName: path.split('/').at(-1) ?? path,
        open: (range) => registry.openFile(id, path, range),
      };
    },
  },
  verify: {
    method: 'POST',
    path: '/models/{name}/versions/{version}/verify',
    summary: 'Reads every file and says whether it is what was registered',
    permission: 'model.read',
    params: versionParam,
    answers: {
      as: 'json',
      schema: answered<VersionVerification>('VersionVerification', {
        version: modelVersion,
        problems: z.array(anyJson),
      }),
    },
    example: { name: 'churn', version: '1.0.0' },
    run: ({ services, input, signal }) => services.registry.verify(referenceOf(input), { signal }),
  },
  deprecate: {
    method: 'POST',
    path: '/models/{name}/versions/{version}/deprecate',
    revisions: ofVersion,
    summary: 'Says that a version should no longer be used',
    permission: 'model.delete',
    body: asked<{ readonly reason: string; readonly replacement?: string }>({
      reason: z.string().min(1),
      replacement: z.string().describe('Semver of the one to use').optional(),
    }),
    answers: { as: 'json', schema: modelVersion },
    example: {
      name: 'churn',
      version: '1.1.0',
      body: { reason: 'Trained on the wrong year', replacement: '1.0.0' },
    },
    run: ({ services, input: { name, version, body } }) =>
      services.registry.deprecate(name, version, body),
  },
  undeprecate: {
    method: 'DELETE',
    path: '/models/{name}/versions/{version}/deprecate',
    revisions: ofVersion,
    summary: 'Takes that back',
    permission: 'model.delete',
    answers: { as: 'json', schema: modelVersion },
    example: { name: 'churn', version: '1.1.0' },
    run: ({ services, input }) => services.registry.undeprecate(input.name, input.version),
  },
  delete: {
    method: 'DELETE',
    path: '/models/{name}/versions/{version}',
    revisions: ofVersion,
    summary: 'Deletes a version; it can be restored until retention takes its content',
    permission: 'model.delete',
    query: whyGone,
    answers: { as: 'nothing' },
    example: { name: 'churn', version: '1.1.0', reason: 'Never used' },
    async run({ services, input: { name, version, ...why } }) {
      await services.registry.deleteVersion(name, version, why);
      return undefined;
    },
  },
  restore: {
    method: 'POST',
    path: '/models/{name}/versions/{version}/restore',
    summary: 'Brings a deleted version back',
    permission: 'model.delete',
    answers: { as: 'json', schema: modelVersion },
    example: { name: 'churn', version: '1.1.0' },
    run: ({ services, input }) => services.registry.restoreVersion(input.name, input.version),
  },
};

/** Such as `fraud@1.4.0`. */
export function referenceOf({ name, version }: OneVersion): string {
  return `${name}@${version}`;
}

async function originOf(
  { services }: Pick<Call<never>, 'services'>,
  {
    runId,
    path,
    artifactUri,
  }: { readonly [K in 'runId' | 'path' | 'artifactUri']: string | undefined },
): Promise<{ readonly runId: string; readonly path: string }> {
  const [, uriRun, uriPath] = /^runs:\/+([^/]+)\/(.+)$/.exec(artifactUri ?? '') ?? [];
  const run = uriRun ?? runId;
  const where = uriPath ?? path ?? artifactUri;
  if (run === undefined)
    throw badInput([{ path: 'body.runId', message: 'is missing: whose files are registered' }]);
  if (where !== undefined) return { runId: run, path: where };
  // What is marked as a model; else what lies where models are logged.
  const { artifacts } = await services.tracking.listArtifacts(run);
  const places = new Set(
    artifacts
      .filter((each) => each.type === 'MODEL' || each.path.startsWith('model/'))
      .map((each) => each.path.split('/')[0] as string),
  );
  const [only] = places;
  if (places.size === 1 && only !== undefined) return { runId: run, path: only };
  const there =
    places.size === 0
      ? 'the run has no files of type MODEL'
      : `there are ${[...places].join(', ')}`;
  throw badInput([{ path: 'body.path', message: `is missing: ${there}` }]);
}
