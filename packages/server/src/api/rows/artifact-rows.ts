import type { ActiveRun, Artifact, LogArtifactOptions } from '@keelson/core';
import { z } from 'zod';
import { headerOf } from '../../http/exchange.ts';
import { boundaryOf, partText, readParts } from '../../http/multipart.ts';
import { refusal } from '../problem.ts';
import { badInput } from '../read-input.ts';
import type { Call, Content, Route } from '../route.ts';
import { answered, asked, cursor, exampleRun, paging, tags } from '../schemas.ts';
import { artifact, artifactType, type OneRun } from './run-schemas.ts';

/** A file in JSON, for small ones. */
export interface LogArtifact {
  readonly path: string;
  readonly data: string;
  /** How `data` is written; base64 when left out. */
  readonly encoding?: 'base64' | 'utf8';
  readonly type?: Artifact['type'];
  readonly mimeType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly onConflict?: 'suffix' | 'error' | 'replace';
}

type Options = Pick<LogArtifact, 'type' | 'mimeType' | 'onConflict'>;

interface OneFile extends OneRun {
  readonly path: string;
}

interface ArtifactPage {
  readonly artifacts: readonly Artifact[];
  readonly cursor?: string;
}

const options = {
  type: artifactType.optional(),
  mimeType: z.string().min(1).max(255).optional(),
  onConflict: z
    .enum(['suffix', 'error', 'replace'])
    .describe('When the path is taken by other bytes: model-1.bin, an error, or the newest wins')
    .optional(),
};

/** Files of runs: what is sent and what is answered streams. */
export const artifactRows: {
  readonly upload: Route<
    OneRun & Options & { readonly path?: string; readonly body?: LogArtifact },
    Artifact
  >;
  readonly put: Route<OneFile & Options, Artifact>;
  readonly list: Route<
    OneRun & { readonly prefix?: string; readonly limit?: number; readonly cursor?: string },
    ArtifactPage
  >;
  readonly download: Route<OneFile, Content>;
} = {
  upload: {
    method: 'POST',
    path: '/runs/{runId}/artifacts',
    summary: 'Uploads a file of a run',
    description:
      'As `multipart/form-data` (fields `path`, `metadata` (JSON), `type`, `mimeType`, `onConflict`, then the file), as bytes with `?path=`, or, for small ones, as JSON.',
    permission: 'run.write',
    spellings: { file_data: 'data', mediaType: 'mimeType' },
    query: { path: z.string().min(1).describe('For bytes').optional(), ...options },
    upload: {
      mediaTypes: ['multipart/form-data', 'application/octet-stream'],
      json: asked<LogArtifact>({
        path: z.string().min(1),
        data: z.string(),
        encoding: z.enum(['base64', 'utf8']).describe('base64 when left out').optional(),
        metadata: tags.optional(),
        ...options,
      }),
    },
    answers: { as: 'json', status: 201, schema: artifact },
    example: {
      runId: exampleRun,
      body: {
        path: 'notes.txt',
        data: 'deeper trees overfit',
        encoding: 'utf8',
        metadata: { by: 'ana' },
      },
    },
    async run(call) {
      const { services, input, headers } = call;
      const active = await services.tracking.joinRun(input.runId);
      const boundary = boundaryOf(headerOf(headers, 'content-type'));
      if (boundary !== undefined) return uploadParts(active, call, boundary);
      if (input.body !== undefined) return uploadJson(active, input.body, call.signal);
      if (input.path === undefined)
        throw badInput([{ path: 'query.path', message: 'is missing: where the bytes belong' }]);
      return active.logArtifact(input.path, call.bytes, {
        ...optionsOf(input),
        signal: call.signal,
      });
    },
  },
  put: {
    method: 'PUT',
    path: '/runs/{runId}/artifacts/{path+}',
    summary: 'Uploads the bytes of a file of a run',
    permission: 'run.write',
    query: options,
    upload: { mediaTypes: ['application/octet-stream'] },
    answers: { as: 'json', status: 201, schema: artifact },
    example: { runId: exampleRun, path: 'model/weights.bin', type: 'MODEL' },
    async run({ services, input, bytes, signal }) {
      const active = await services.tracking.joinRun(input.runId);
      return active.logArtifact(input.path, bytes, { ...optionsOf(input), signal });
    },
  },
  list: {
    method: 'GET',
    path: '/runs/{runId}/artifacts',
    summary: 'The files of a run, by path',
    permission: 'tracking.read',
    query: { prefix: z.string().describe('Only those below').optional(), ...paging },
    answers: {
      as: 'json',
      schema: answered<ArtifactPage>('ArtifactPage', { artifacts: z.array(artifact), cursor }),
    },
    example: { runId: exampleRun },
    run: ({ services, input: { runId, ...page } }) => services.tracking.listArtifacts(runId, page),
  },
  download: {
    method: 'GET',
    path: '/runs/{runId}/artifacts/{path+}',
    summary: 'The bytes of a file of a run; ranges too',
    permission: 'tracking.read',
    answers: { as: 'bytes', mediaTypes: ['*/*'] },
    failures: [416],
    example: { runId: exampleRun, path: 'notes.txt' },
    async run({ services, input: { runId, path } }) {
      const { sha256, sizeBytes, mimeType } = await services.tracking.getArtifact(runId, path);
      return {
        mediaType: mimeType,
        sizeBytes,
        etag: `"${sha256}"`,
        fileName: path.split('/').at(-1) ?? path,
        open: (range) => services.tracking.openArtifact(runId, path, range),
      };
    },
  },
};

function optionsOf({ type, mimeType, onConflict }: Options): LogArtifactOptions {
  return {
    ...(type === undefined ? {} : { type }),
    ...(mimeType === undefined ? {} : { mimeType }),
    ...(onConflict === undefined ? {} : { onConflict }),
  };
}

function uploadJson(active: ActiveRun, body: LogArtifact, signal: AbortSignal): Promise<Artifact> {
  const { path, data, encoding = 'base64', metadata } = body;
  const bytes = Buffer.from(data, encoding);
  if (encoding === 'base64' && !/^[A-Za-z0-9+/_-]*={0,2}$/.test(data.replace(/\s/g, ''))) {
    throw badInput([{ path: 'body.data', message: 'is no base64; encoding: utf8 takes text' }]);
  }
  const described = metadata === undefined ? {} : { metadata };
  return active.logArtifact(path, bytes, { ...optionsOf(body), ...described, signal });
}

/** The fields stand before the file, so that the file need not be kept. */
async function uploadParts(
  active: ActiveRun,
  { input, bytes, signal }: Call<Options & { readonly path?: string }>,
  boundary: string,
): Promise<Artifact> {
  const fields = new Map<string, string>();
  let logged: Artifact | undefined;
  for await (const part of readParts(bytes, boundary)) {
    if (part.fileName === undefined && part.name !== 'file') {
      if (logged !== undefined)
        throw refusal(
          400,
          'INVALID',
          `The field ${part.name} stands behind the file; put it before.`,
        );
      fields.set(part.name ?? '', await partText(part));
      continue;
    }
    if (logged !== undefined)
      throw refusal(400, 'INVALID', 'There is more than one file; send each by itself.');
    const said = checkedFields(fields);
    const path = said.path ?? input.path ?? part.fileName;
    if (path === undefined)
      throw badInput([{ path: 'body.path', message: 'is missing: where the file belongs' }]);
    const described = said.metadata === undefined ? {} : { metadata: said.metadata };
    const options = { ...optionsOf({ ...input, ...said }), ...described, signal };
    logged = await active.logArtifact(path, part.bytes, options);
  }
  if (logged !== undefined) return logged;
  throw badInput([{ path: 'body.file', message: 'is missing: a part with a file name' }]);
}

const partFields = z.strictObject({
  path: z.string().min(1).optional(),
  metadata: tags.optional(),
  ...options,
});

function checkedFields(
  fields: ReadonlyMap<string, string>,
): z.infer<typeof partFields> & Options & { metadata?: Record<string, string> } {
  const { metadata, ...rest } = Object.fromEntries(fields);
  const checked = partFields.safeParse({
    ...rest,
    ...(metadata === undefined ? {} : { metadata: objectOf(metadata) }),
  });
  if (checked.success) return checked.data as ReturnType<typeof checkedFields>;
  throw badInput(
    checked.error.issues.map((issue) => ({
      path: ['body', ...issue.path].join('.'),
      message: issue.message,
    })),
  );
}

function objectOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badInput([{ path: 'body.metadata', message: 'is no JSON' }]);
  }
}
