import {
  type Artifact,
  type AwayPoints,
  type DatasetInput,
  decodePoints,
  type FinishElsewhere,
  type Json,
  type JsonObject,
  type ModelVersion,
  pointsMediaType,
  type RegisterOptions,
  type RunElsewhere,
  type RunNote,
  remoteMethods,
  remoteProtocol,
  type StartElsewhere,
  type Told,
} from '@keelson/core';
import { z } from 'zod';
import { readBody } from '../../http/request-body.ts';
import { packageVersion } from '../../package-version.ts';
import { badInput } from '../read-input.ts';
import { ByteReader, jsonOf, registered } from '../registered-files.ts';
import type { Route } from '../route.ts';
import {
  answered,
  anyJson,
  asked,
  exampleRun,
  figure,
  looseObject,
  tags,
  whole,
} from '../schemas.ts';
import { thresholds } from './experiment-rows.ts';
import { modelVersion } from './model-schemas.ts';
import { datasetFields } from './run-data-rows.ts';
import { artifact, artifactType, figures, type OneRun, runStatus } from './run-schemas.ts';

/** What a client learns before anything else. */
export interface Hello {
  /** Of what client and server say to each other. */
  readonly protocol: number;
  /** Of the server's package. */
  readonly version: string;
  readonly workspace: string;
  readonly principal: { readonly id: string; readonly roles: readonly string[] };
  readonly lateLogging: boolean;
  /** Runs that are silent for this long are dead. */
  readonly heartbeatTimeoutMs: number;
}

/** A method of a service with its arguments, as the library has it. */
export interface RemoteCall {
  readonly service: 'tracking' | 'registry';
  readonly method: string;
  readonly args?: readonly Json[];
}

/** What a method answered. */
export interface CallResult {
  readonly result?: unknown;
  /** Where lists have nothing (not null), as paths. */
  readonly holes?: readonly (readonly (string | number)[])[];
}

interface Upload extends OneRun {
  readonly path: string;
  readonly type?: Artifact['type'];
  readonly mimeType?: string;
  readonly onConflict?: 'suffix' | 'error' | 'replace';
  /** So many bytes of metadata, a JSON object of texts, stand before the file. */
  readonly metadataBytes?: number;
}

/** A version of files that come with it. */
export interface RegisterFiles {
  readonly options: Readonly<Record<string, unknown>>;
  /** Base64 by path. */
  readonly files: Readonly<Record<string, string>>;
}

const warnings = z.array(z.looseObject({ message: z.string(), fields: looseObject }));
const opened = answered<RunElsewhere>('OpenedRun', {
  id: z.string(),
  name: z.string(),
  experimentId: z.string(),
  status: runStatus,
  created: z.boolean().optional(),
  thresholds: anyJson.optional(),
});
const nothing = { as: 'nothing' } as const;

/** How the library's remote mode (`openPlatform({ url })`) reaches a platform. */
export const remoteRows: {
  readonly hello: Route<object, Hello>;
  readonly call: Route<{ readonly body: RemoteCall }, CallResult>;
  readonly start: Route<{ readonly body: StartElsewhere }, RunElsewhere>;
  readonly join: Route<OneRun & { readonly body?: { readonly resume?: boolean } }, RunElsewhere>;
  readonly logParams: Route<
    OneRun & { readonly body: { readonly params: JsonObject } },
    Told<null>
  >;
  readonly logDataset: Route<OneRun & { readonly body: DatasetInput }, { readonly id: string }>;
  readonly logArtifact: Route<Upload, Told<Artifact>>;
  readonly points: Route<{ readonly body?: AwayPoints }, { readonly accepted: number }>;
  readonly beat: Route<{ readonly body: { readonly runIds: readonly string[] } }, undefined>;
  readonly note: Route<OneRun & { readonly body: RunNote }, undefined>;
  readonly finish: Route<OneRun & { readonly body: FinishElsewhere }, undefined>;
  readonly register: Route<{ readonly body?: RegisterFiles }, ModelVersion>;
} = {
  hello: {
    method: 'GET',
    path: '/remote',
    summary: 'What a client of the library asks first: versions, workspace, and who it is',
    permission: 'tracking.read',
    answers: {
      as: 'json',
      schema: answered<Hello>('Hello', {
        protocol: whole,
        version: z.string(),
        workspace: z.string(),
        principal: z.looseObject({ id: z.string(), roles: z.array(z.string()) }),
        lateLogging: z.boolean(),
        heartbeatTimeoutMs: z.number(),
      }),
    },
    example: {},
    async run({ services }) {
      // Whoever may read nothing need not know more.
      await services.tracking.listExperiments({ limit: 1 });
      const { id, roles } = services.principal;
      const { lateLogging, heartbeatTimeoutMs } = services.tracking.elsewhere;
      return {
        protocol: remoteProtocol,
        version: packageVersion,
        workspace: services.workspace,
        principal: { id, roles },
        ...{ lateLogging, heartbeatTimeoutMs },
      };
    },
  },
  call: {
    method: 'POST',
    path: '/remote/calls',
    summary: 'Calls a method of tracking or registry, as the library has it',
    description:
      'Arguments and result are those of the TypeScript method of that name; `null` stands for an argument that is left out. Each method asks its own permission.',
    permission: 'tracking.read',
    body: asked<RemoteCall>({
      service: z.enum(['tracking', 'registry']),
      method: z.string().min(1).max(100),
      args: z.array(anyJson).max(6).optional(),
    }),
    answers: {
      as: 'json',
      schema: answered<CallResult>('CallResult', {
        result: anyJson.optional(),
        holes: z.array(z.array(z.union([z.string(), whole]))).optional(),
      }),
    },
    example: { body: { service: 'tracking', method: 'getRun', args: [exampleRun] } },
    async run({ services, input: { body } }) {
      const { service, method, args = [] } = body;
      const reaches: Readonly<Record<string, string>> = remoteMethods[service];
      const reach = Object.hasOwn(reaches, method) ? reaches[method] : undefined;
      if (reach !== 'read' && reach !== 'write') {
        const message = `is no method of ${service} that is called over the wire by this server (protocol ${remoteProtocol})`;
        throw badInput([{ path: 'body.method', message }]);
      }
      const of = services[service] as unknown as Record<string, (...given: unknown[]) => unknown>;
      const given = args.map((each) => (each === null ? undefined : each));
      const result = await of[method]?.(...given);
      if (result === undefined) return {};
      const holes = holesOf(result);
      return holes.length === 0 ? { result } : { result, holes };
    },
  },
  start: {
    method: 'POST',
    path: '/remote/runs',
    summary: 'Starts a run of a process that sends its heartbeats itself',
    permission: 'run.create',
    body: asked<StartElsewhere>({
      experiment: z.string().describe('Name or id'),
      name: z.string().optional(),
      description: z.string().optional(),
      params: looseObject.optional(),
      tags: tags.optional(),
      parentRunId: z.string().optional(),
      sourceType: z.enum(['NOTEBOOK', 'SCRIPT', 'PIPELINE', 'SERVICE']).optional(),
      thresholds: thresholds.optional(),
      id: z.string().optional(),
      startedAt: whole.optional(),
      environment: looseObject.optional(),
      sourceName: z.string().max(1000).optional(),
      sourceVersion: z.string().max(1000).optional(),
    }),
    answers: { as: 'json', status: 201, schema: opened },
    example: { body: { experiment: 'weather', name: 'from a script' } },
    run: ({ services, input }) => services.tracking.elsewhere.start(input.body),
  },
  join: {
    method: 'POST',
    path: '/remote/runs/{runId}/join',
    summary: 'Joins a run that runs, or resumes one that has ended',
    permission: 'run.write',
    body: asked<{ readonly resume?: boolean }>({
      resume: z.boolean().optional(),
    }).optional() as never,
    answers: { as: 'json', schema: opened },
    example: { runId: exampleRun, body: { resume: true } },
    run: ({ services, input }) => services.tracking.elsewhere.join(input.runId, input.body),
  },
  logParams: {
    method: 'POST',
    path: '/remote/runs/{runId}/params',
    summary: 'Logs params; answers what the caller is to be warned of',
    permission: 'run.write',
    body: asked<{ readonly params: JsonObject }>({ params: looseObject }),
    answers: {
      as: 'json',
      schema: answered<Told<null>>('LoggedParams', { value: z.null(), warnings }),
    },
    example: { runId: exampleRun, body: { params: { rate: 0.1 } } },
    run: ({ services, input }) =>
      services.tracking.elsewhere.logParams(input.runId, input.body.params),
  },
  logDataset: {
    method: 'POST',
    path: '/remote/runs/{runId}/datasets',
    summary: 'Links a dataset to a run',
    permission: 'run.write',
    body: asked<DatasetInput>(datasetFields),
    answers: {
      as: 'json',
      status: 201,
      schema: answered<{ readonly id: string }>('RemoteDatasetId', { id: z.string() }),
    },
    example: {
      runId: exampleRun,
      body: { name: 'rain-2025', digest: 'b5bb9d8014a0', role: 'validation' },
    },
    run: async ({ services, input }) => ({
      id: await services.tracking.elsewhere.logDataset(input.runId, input.body),
    }),
  },
  logArtifact: {
    method: 'PUT',
    path: '/remote/runs/{runId}/artifact',
    summary: 'Uploads a file of a run; answers what the caller is to be warned of',
    permission: 'run.write',
    query: {
      path: z.string().min(1),
      type: artifactType.optional(),
      mimeType: z.string().min(1).max(255).optional(),
      onConflict: z.enum(['suffix', 'error', 'replace']).optional(),
      metadataBytes: z
        .number()
        .int()
        .min(2)
        .max(2 ** 20)
        .describe('So many bytes of metadata, a JSON object of texts, stand before the file')
        .optional(),
    },
    upload: { mediaTypes: ['application/octet-stream'] },
    answers: {
      as: 'json',
      status: 201,
      schema: answered<Told<Artifact>>('LoggedArtifact', { value: artifact, warnings }),
    },
    example: { runId: exampleRun, path: 'model/weights.bin', type: 'MODEL' },
    async run({ services, input: { runId, path, metadataBytes, ...options }, bytes, signal }) {
      const reader = new ByteReader(bytes);
      const about =
        metadataBytes === undefined ? {} : { metadata: textsOf(await reader.take(metadataBytes)) };
      return services.tracking.elsewhere.logArtifact(runId, path, reader.rest(), {
        ...options,
        ...about,
        signal,
      });
    },
  },
  points: {
    method: 'POST',
    path: '/remote/points',
    summary: 'Stores a batch of metric points of runs; answered when it is durable',
    description:
      'A batch of a writer and sequence that there was is acknowledged and ignored, so that it may be sent again after an answer that was lost.',
    permission: 'run.write',
    upload: {
      mediaTypes: [pointsMediaType],
      json: asked<AwayPoints>({
        writer: z.string().min(1).max(255),
        sequence: z.number().int().min(1),
        series: z.array(z.strictObject({ runId: z.string(), key: z.string() })).max(100_000),
        seriesIndex: z.array(z.number().int().min(0)).max(262_144),
        steps: z.array(whole).max(262_144),
        timestamps: z.array(z.number()).max(262_144),
        values: z.array(figure).max(262_144),
      }),
    },
    answers: {
      as: 'json',
      schema: answered<{ readonly accepted: number }>('AcceptedPoints', { accepted: whole }),
    },
    example: {
      body: {
        writer: '6f1c',
        sequence: 1,
        series: [{ runId: exampleRun, key: 'loss' }],
        seriesIndex: [0, 0],
        steps: [10, 11],
        timestamps: [1764331200000, 1764331201000],
        values: [0.5, 0.25],
      },
    },
    async run({ services, input, bytes, headers }) {
      const batch = input.body ?? decodePoints(await readBody({ headers, body: bytes }));
      await services.tracking.elsewhere.appendPoints(batch);
      return { accepted: batch.steps.length };
    },
  },
  beat: {
    method: 'POST',
    path: '/remote/heartbeats',
    summary: 'Says that runs are alive',
    permission: 'run.write',
    body: asked<{ readonly runIds: readonly string[] }>({
      runIds: z.array(z.string().min(1).max(1000)).max(10_000),
    }),
    answers: nothing,
    example: { body: { runIds: [exampleRun] } },
    async run({ services, input }) {
      await services.tracking.elsewhere.beat(input.body.runIds);
      return undefined;
    },
  },
  note: {
    method: 'POST',
    path: '/remote/runs/{runId}/notes',
    summary: 'Has written down that a metric crossed a bound, came late, or was lost',
    permission: 'run.write',
    body: asked<RunNote>({
      crossing: looseObject.optional(),
      late: z.boolean().optional(),
      lost: z.strictObject({ process: z.string().min(1).max(255), points: figures }).optional(),
    }),
    answers: nothing,
    example: { runId: exampleRun, body: { lost: { process: '6f1c', points: { loss: 2 } } } },
    async run({ services, input }) {
      await services.tracking.elsewhere.note(input.runId, input.body);
      return undefined;
    },
  },
  finish: {
    method: 'POST',
    path: '/remote/runs/{runId}/finish',
    summary: 'Ends a run; again with the same status does nothing',
    permission: 'run.write',
    body: asked<FinishElsewhere>({
      status: z.enum(['COMPLETED', 'FAILED', 'KILLED']),
      reason: z.string().optional(),
      endedAt: z.number().optional(),
    }),
    answers: nothing,
    example: { runId: 'run-of-remote', body: { status: 'COMPLETED' } },
    async run({ services, input }) {
      await services.tracking.elsewhere.finish(input.runId, input.body);
      return undefined;
    },
  },
  register: {
    method: 'POST',
    path: '/remote/versions',
    summary: 'Registers a version of files that come with it',
    description:
      'Bytes: the length of the head (uint32, little endian), the head as JSON `{ options, files: [{ path, sizeBytes, sha256 }] }`, then the files one after another. Small ones may come as JSON.',
    permission: 'model.register',
    upload: {
      mediaTypes: ['application/octet-stream'],
      json: asked<RegisterFiles>({
        options: looseObject,
        files: z.record(z.string(), z.string()).describe('Base64 by path'),
      }),
    },
    answers: { as: 'json', status: 201, schema: modelVersion },
    example: {
      body: {
        options: { model: 'rain-remote', format: 'CUSTOM' },
        files: { 'weights.txt': 'd2VpZ2h0cw==' },
      },
    },
    async run({ services, input, bytes, signal }) {
      const { options, files } = await registered(input.body, bytes);
      const given = { ...options, from: { files }, signal } as unknown as RegisterOptions;
      return services.registry.register(given);
    },
  },
};

function textsOf(bytes: Uint8Array): Record<string, string> {
  const value = jsonOf(bytes);
  // As it was sent: what a check makes of it has lost a key called `__proto__`.
  if (tags.safeParse(value).success) return value as Record<string, string>;
  throw badInput([{ path: 'body', message: 'begins with metadata that are no object of texts' }]);
}

/** Where the lists of a value hold undefined, which JSON has not. */
function holesOf(
  value: unknown,
  path: readonly (string | number)[] = [],
): (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  if (Array.isArray(value)) {
    return value.flatMap((each, i) =>
      each === undefined ? [[...path, i]] : holesOf(each, [...path, i]),
    );
  }
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return entries.flatMap(([key, each]) => holesOf(each, [...path, String(key)]));
}
