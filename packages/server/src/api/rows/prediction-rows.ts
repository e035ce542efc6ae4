import { randomUUID } from 'node:crypto';
import type {
  Json,
  JsonObject,
  Label,
  LabelResult,
  LoggedPrediction,
  Services,
  StoredPrediction,
} from '@keelson/core';
import type { Outcome, OutcomeResult } from '@keelson/core/monitoring';
import { z } from 'zod';
import { badInput } from '../read-input.ts';
import type { Route } from '../route.ts';
import { answered, anyJson, asked, figure, looseObject, time, whole } from '../schemas.ts';
import { timeOf, timeText } from '../time-text.ts';
import {
  lengthOf,
  type Watched,
  watchedDeployment,
  watchedIdOf,
  watchedText,
} from './watched-names.ts';

/** A prediction that was made elsewhere. */
export interface PredictionEntry
  extends Partial<Omit<LoggedPrediction, 'features' | 'prediction' | 'role'>> {
  /** Of whom: a deployment, a model that has one, or `watch:` and the name of a watched function. */
  readonly name: string;
  /** The version that answered, such as `1.4.0`; the one that most requests go to when left out. */
  readonly version?: string;
  /** Epoch seconds, for those whose clock has them. */
  readonly timestamp?: number;
  readonly features: JsonObject;
  readonly prediction: Json;
  readonly shadow?: boolean;
}

/** What was logged. */
export interface PredictionsLogged {
  readonly accepted: number;
  /** In the order of what was sent: labels name them. */
  readonly requestIds: readonly string[];
}

interface RecentQuery extends Watched {
  readonly hours?: number;
  readonly window?: string;
  readonly from?: string;
  readonly to?: string;
  readonly limit?: number;
}

interface Recent {
  readonly predictions: readonly StoredPrediction[];
}

const share = z.number().min(0).max(1);
const ms = z.number().min(0);
const id = z.string().min(1).max(1000);

const entry = z.strictObject({
  name: z.string().min(1).max(512).describe('A deployment, a model that has one, or `watch:…`'),
  version: z.string().min(1).describe('Such as 1.4.0; what answers now when left out').optional(),
  versionId: id.describe('In place of version').optional(),
  requestId: id.describe('Yours; one is made when left out').optional(),
  at: time.describe('Epoch milliseconds; now when left out').optional(),
  timestamp: z.number().describe('Epoch seconds, in place of `at`').optional(),
  features: looseObject,
  prediction: anyJson.refine((value) => value !== undefined, 'is missing'),
  probabilities: z.record(z.string(), share).optional(),
  confidence: share.optional(),
  latencyMs: ms.optional(),
  queueMs: ms.optional(),
  inferenceMs: ms.optional(),
  key: id.optional(),
  userId: id.describe('Kept as a pseudonym').optional(),
  sessionId: id.describe('Kept as a pseudonym').optional(),
  region: z.string().max(1000).optional(),
  segment: z.string().max(1000).optional(),
  experimentArm: z.string().max(1000).optional(),
  featureSchemaVersion: z.string().max(1000).optional(),
  replica: z.string().max(1000).optional(),
  error: z.string().max(10_000).optional(),
  correlationId: id.optional(),
  flags: z
    .array(z.string().regex(/^[\w.-]{1,100}$/))
    .max(100)
    .optional(),
  critical: z.boolean().optional(),
  shadow: z.boolean().optional(),
} satisfies Record<keyof PredictionEntry, z.ZodType>) as unknown as z.ZodType<PredictionEntry>;

const nameSpellings = { model: 'name', model_name: 'name', modelName: 'name', deployment: 'name' };
const spellings = {
  ...nameSpellings,
  model_version: 'version',
  modelVersion: 'version',
  input_features: 'features',
  inputFeatures: 'features',
  prediction_output: 'prediction',
  predictionOutput: 'prediction',
  confidence_score: 'confidence',
  confidenceScore: 'confidence',
  response_time_ms: 'latencyMs',
  responseTimeMs: 'latencyMs',
};
const logged = answered<PredictionsLogged>('PredictionsLogged', {
  accepted: whole,
  requestIds: z.array(z.string()),
});
const exampleEntry: PredictionEntry = {
  name: 'live',
  version: '1.0.0',
  requestId: 'request-9',
  features: { x: 1.5, city: 'Oslo' },
  prediction: 0.85,
  latencyMs: 12.5,
};
const refused = z.array(looseObject);
const joined = {
  requestId: z.string().optional(),
  key: z.string().optional(),
  observedAt: time,
};

/** Predictions made elsewhere, and what became of them. */
export const predictionRows: {
  readonly log: Route<{ readonly body: PredictionEntry }, PredictionsLogged>;
  readonly logBatch: Route<
    { readonly body: { readonly predictions: readonly PredictionEntry[] } },
    PredictionsLogged
  >;
  readonly list: Route<RecentQuery, Recent>;
  readonly labels: Route<
    Watched & { readonly body: { readonly labels: readonly Label[] } },
    LabelResult
  >;
  readonly outcomes: Route<
    Watched & { readonly body: { readonly outcomes: readonly Outcome[] } },
    OutcomeResult
  >;
} = {
  log: {
    method: 'POST',
    path: '/monitoring/predictions',
    outside: ['/monitor/log_prediction'],
    summary: 'Logs a prediction that was made elsewhere; it is durable once this answers',
    permission: 'prediction.write',
    spellings,
    body: entry,
    answers: { as: 'json', status: 201, schema: logged },
    example: { body: exampleEntry },
    run: ({ services, input }) => logAll(services, [input.body]),
  },
  logBatch: {
    method: 'POST',
    path: '/monitoring/predictions/batch',
    summary: 'Logs many, of one deployment or of several: all of them, or none where one is wrong',
    permission: 'prediction.write',
    spellings: { ...spellings, entries: 'predictions' },
    body: asked<{ readonly predictions: readonly PredictionEntry[] }>({
      predictions: z.array(entry).min(1).max(10_000),
    }),
    answers: { as: 'json', status: 201, schema: logged },
    example: {
      body: { predictions: [exampleEntry, { ...exampleEntry, requestId: 'request-10' }] },
    },
    run: ({ services, input }) => logAll(services, input.body.predictions),
  },
  list: {
    method: 'GET',
    path: '/monitoring/predictions',
    outside: ['/monitor/predictions'],
    summary: 'Predictions of the log, newest first, as they are kept',
    description:
      'Features take `prediction.read.features`; requests and callers take `prediction.read.identity`, and are left out without it.',
    permission: 'prediction.read.output',
    spellings: nameSpellings,
    query: {
      name: z.string().min(1).describe(watchedText),
      hours: z.number().gt(0).max(100_000).describe('The last so many').optional(),
      window: z.string().describe('The last while, such as 30m; 1h when left out').optional(),
      from: z.string().describe(timeText).optional(),
      to: z.string().describe(`${timeText}; now when left out`).optional(),
      limit: z.number().int().min(1).max(10_000).describe('100 when left out').optional(),
    },
    answers: {
      as: 'json',
      schema: answered<Recent>('Predictions', {
        predictions: z.array(
          z.looseObject({
            at: time,
            versionId: z.string(),
            requestId: z.string(),
            role: z.enum(['primary', 'shadow']),
            features: looseObject,
            prediction: anyJson,
            latencyMs: figure,
          }) as never,
        ),
      }),
    },
    example: { name: 'live', hours: 24, limit: 10 },
    run: ({ services, input }) => recent(services, input),
  },
  labels: {
    method: 'POST',
    path: '/monitoring/models/{name}/labels',
    aliases: ['/monitoring/{name}/labels'],
    summary: 'Tells what was really the case, however late',
    permission: 'label.write',
    body: asked<{ readonly labels: readonly Label[] }>({
      labels: z
        .array(
          z.strictObject({ ...joined, of: z.enum(['latest', 'all']).optional(), value: anyJson }),
        )
        .max(10_000) as never,
    }),
    answers: {
      as: 'json',
      schema: answered<LabelResult>('LabelResult', {
        accepted: whole,
        sampledOut: whole,
        refused,
      }),
    },
    example: {
      name: 'live',
      body: { labels: [{ requestId: 'request-1', value: 1, observedAt: 1_767_225_600_000 }] },
    },
    run: async ({ services, input }) =>
      services.monitoring.logLabels(await watchedIdOf(services, input.name), input.body.labels),
  },
  outcomes: {
    method: 'POST',
    path: '/monitoring/models/{name}/outcomes',
    aliases: ['/monitoring/{name}/outcomes'],
    summary: 'Tells what came of requests, such as what they earned',
    permission: 'label.write',
    body: asked<{ readonly outcomes: readonly Outcome[] }>({
      outcomes: z
        .array(z.strictObject({ ...joined, name: z.string().min(1).max(200), value: z.number() }))
        .max(10_000) as never,
    }),
    answers: {
      as: 'json',
      schema: answered<OutcomeResult>('OutcomeResult', { accepted: whole, refused }),
    },
    example: {
      name: 'live',
      body: {
        outcomes: [
          { name: 'revenue', requestId: 'request-1', value: 12, observedAt: 1_767_225_600_000 },
        ],
      },
    },
    run: async ({ services, input }) =>
      services.monitoring.logOutcomes(await watchedIdOf(services, input.name), input.body.outcomes),
  },
};

async function logAll(
  services: Services,
  entries: readonly PredictionEntry[],
): Promise<PredictionsLogged> {
  const now = Date.now();
  const find = remembering(services);
  const requestIds: string[] = [];
  const byId = new Map<string, LoggedPrediction[]>();
  for (const given of entries) {
    const {
      name,
      version,
      versionId,
      timestamp,
      shadow,
      requestId = randomUUID(),
      ...rest
    } = given;
    const of = await find(name, versionId === undefined ? version : undefined);
    const { at = timestamp === undefined ? now : timestamp * 1000, latencyMs = 0, ...more } = rest;
    const row: LoggedPrediction = {
      ...more,
      ...{ requestId, at, latencyMs, versionId: versionId ?? of.versionId },
      role: shadow === true ? 'shadow' : 'primary',
    };
    requestIds.push(requestId);
    byId.set(of.id, [...(byId.get(of.id) ?? []), row]);
  }
  for (const [deploymentId, rows] of byId)
    await services.monitoring.logPredictions(deploymentId, rows);
  return { accepted: entries.length, requestIds };
}

/** Ids of what entries name, each looked up once. */
function remembering(
  services: Services,
): (
  name: string,
  version: string | undefined,
) => Promise<{ readonly id: string; readonly versionId: string }> {
  const known = new Map<string, Promise<{ readonly id: string; readonly versionId: string }>>();
  return (name, version) => {
    const key = JSON.stringify([name, version]);
    const found = known.get(key) ?? placeOf(services, name, version);
    known.set(key, found);
    return found;
  };
}

async function placeOf(
  services: Services,
  name: string,
  version: string | undefined,
): Promise<{ readonly id: string; readonly versionId: string }> {
  // What is watched without a deployment has versions of its own.
  if (name.startsWith('watch:')) return { id: name, versionId: version ?? 'unversioned' };
  const { id: deploymentId, name: deployment, model } = await watchedDeployment(services, name);
  if (version !== undefined) {
    const found = await services.registry.resolve(`${model}@${version.replace(/^v(?=\d)/, '')}`);
    return { id: deploymentId, versionId: found.id };
  }
  const { route } = await services.deployments.route(deployment);
  const [most] = route.targets.toSorted((a, b) => b.weightPercent - a.weightPercent);
  if (most !== undefined) return { id: deploymentId, versionId: most.versionId };
  throw badInput([{ path: 'body.version', message: 'is missing: nothing answers there now' }]);
}

async function recent(services: Services, query: RecentQuery): Promise<Recent> {
  const { name, hours, window = '1h', from, to = '0s', limit } = query;
  const end = timeOf('to', to);
  const lengthMs = hours === undefined ? lengthOf('query.window', window) : hours * 3_600_000;
  const predictions = await services.monitoring.listPredictions(await watchedIdOf(services, name), {
    from: from === undefined ? end - lengthMs : timeOf('from', from),
    // What was logged this very moment is there.
    to: end + 1,
    ...(limit === undefined ? {} : { limit }),
  });
  return { predictions };
}
