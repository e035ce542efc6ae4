import type { Logger, Services } from '@keelson/core';
import type { CallerOptions } from '../access/callers.ts';
import {
  jsonAnswer,
  type ServerAnswer,
  type ServerRequest,
  splitUrl,
  textAnswer,
} from '../http/exchange.ts';
import { readBody } from '../http/request-body.ts';
import { decoded } from './artifact-places.ts';
import { answerArtifacts, answerGetArtifact, artifactCalls } from './artifacts.ts';
import type { Call, CallContext } from './call.ts';
import { queryFields } from './encoding.ts';
import { errorAnswer, refusal } from './errors.ts';
import { experimentCalls } from './experiments.ts';
import { inputCalls } from './inputs.ts';
import { loggedModelCalls } from './logged-models.ts';
import { loggingCalls } from './logging.ts';
import { metricCalls } from './metrics.ts';
import { modelVersionCalls } from './model-versions.ts';
import { registeredModelCalls } from './registered-models.ts';
import { createRunHandles } from './run-handles.ts';
import { runCalls } from './runs.ts';
import { answerGetVersionArtifact } from './version-artifacts.ts';

/** Answers what MLflow's clients ask; undefined for paths that are not MLflow's. Never rejects. */
export type Mlflow = (request: ServerRequest) => Promise<ServerAnswer | undefined>;

/**
 * The version that clients are told. From 3.4 on they would send traces to `/v1/traces`, which is not here: below it
 * they know another way, and are told that it is not here either.
 */
const version = '3.3.2';

/** All calls that there are. */
export const calls: readonly Call[] = [
  ...experimentCalls,
  ...runCalls,
  ...loggingCalls,
  ...metricCalls,
  ...artifactCalls,
  ...inputCalls,
  ...loggedModelCalls,
  ...registeredModelCalls,
  ...modelVersionCalls,
  {
    methods: ['GET'],
    path: '3.0/server-info',
    answer: async () => ({
      ...{ store_type: 'SqlStore', workspaces_enabled: false },
      ...{ multipart_uploads_enabled: false, multipart_downloads_enabled: false },
    }),
  },
];

/** MLflow logs to runs that have ended, too; the environment of a run is its client's, not this server's. */
const asked: CallerOptions = { tracking: { lateLogging: 'allow', environment: false } };

/** MLflow's REST protocol over the services of whoever calls. */
export function createMlflow(
  servicesFor: (request: ServerRequest, options: CallerOptions) => Promise<Services>,
  logger?: Logger,
): Mlflow {
  const runs = createRunHandles();

  async function answer(request: ServerRequest): Promise<ServerAnswer | undefined> {
    const { path, query } = splitUrl(request.url);
    if (path === '/version') return textAnswer(200, version);
    const place = placeIn(path);
    if (place === undefined) return undefined;
    const services = await servicesFor(request, asked);
    const context: CallContext = { services, runs };
    if (place.of === 'get-artifact') return answerGetArtifact(request, query, services);
    if (place.of === 'get-version-artifact') {
      return answerGetVersionArtifact(request, query, services);
    }
    if (place.of === 'proxy') {
      const answered = await answerArtifacts(request, { path: place.path, query }, context);
      if (answered !== undefined) return answered;
    } else {
      const found = findCall(request.method, place.path);
      if (found !== undefined) {
        const isQuery = request.method === 'GET' || request.method === 'HEAD';
        const given = isQuery ? queryFields(query) : await bodyFields(request);
        const fields = { ...given, ...found.fields };
        return jsonAnswer(200, await found.call.answer(fields, isQuery, context));
      }
    }
    throw refusal('ENDPOINT_NOT_FOUND', `There is no ${request.method} ${path} here.`);
  }

  return async (request) => {
    try {
      return await answer(request);
    } catch (error) {
      const answered = errorAnswer(error);
      if (answered.status === 500) {
        const fields = { component: 'server', method: request.method, error };
        logger?.error(fields, `${splitUrl(request.url).path} failed.`);
      }
      return answered;
    }
  };
}

/** Where below MLflow's paths a request goes. */
interface Place {
  readonly of: 'calls' | 'proxy' | 'get-artifact' | 'get-version-artifact';
  readonly path: string;
}

function placeIn(path: string): Place | undefined {
  if (path === '/get-artifact') return { of: 'get-artifact', path };
  if (path === '/model-versions/get-artifact') return { of: 'get-version-artifact', path };
  const match = /^\/(?:ajax-)?api\/([23])\.0\/(mlflow(?:-artifacts)?\/.*)$/.exec(path);
  const [, major, rest = ''] = match ?? [];
  if (match === null) return undefined;
  if (rest.startsWith('mlflow-artifacts/')) return { of: 'proxy', path: rest };
  const below = rest.slice('mlflow/'.length);
  return { of: 'calls', path: major === '3' ? `3.0/${below}` : below };
}

/** Calls whose paths have no fields, by method and path. */
const plain = new Map(
  calls.flatMap((each) => each.methods.map((method) => [`${method} ${each.path}`, each] as const)),
);
const patterns = calls.filter(({ path }) => path.includes('{'));

function findCall(
  method: string,
  path: string,
): { readonly call: Call; readonly fields: Readonly<Record<string, string>> } | undefined {
  const found = plain.get(`${method === 'HEAD' ? 'GET' : method} ${path.replace(/\/$/, '')}`);
  if (found !== undefined) return { call: found, fields: {} };
  const given = path.split('/');
  for (const call of patterns) {
    const parts = call.path.split('/');
    if (!call.methods.includes(method) || parts.length !== given.length) continue;
    const fields: [string, string][] = [];
    const fits = parts.every((part, i) => {
      if (!part.startsWith('{')) return part === given[i];
      fields.push([part.slice(1, -1), decoded(given[i] ?? '')]);
      return true;
    });
    if (fits) return { call, fields: Object.fromEntries(fields) };
  }
  return undefined;
}

/** The JSON body of a request; some clients send its text as JSON once more. */
async function bodyFields(request: ServerRequest): Promise<Readonly<Record<string, unknown>>> {
  const text = Buffer.from(await readBody(request)).toString('utf8');
  if (text.trim() === '') return {};
  const parsed = parsedJson(text);
  const fields = typeof parsed === 'string' ? parsedJson(parsed) : parsed;
  if (typeof fields === 'object' && fields !== null && !Array.isArray(fields)) {
    return fields as Readonly<Record<string, unknown>>;
  }
  throw refusal('BAD_REQUEST', 'The body of a request is a JSON object.');
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw refusal('BAD_REQUEST', `The body is no JSON: ${error.message.slice(0, 200)}`, error);
  }
}
