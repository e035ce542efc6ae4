import type { Json } from '@keelson/core';
import { z } from 'zod';
import { headerOf } from '../../http/exchange.ts';
import { refusal } from '../problem.ts';
import type { Call, Route } from '../route.ts';
import { answered, anyJson, asked } from '../schemas.ts';
import { watchedDeployment } from './watched-names.ts';

/** What to predict from. */
export interface Predict {
  /** A deployment, or a model that has one. */
  readonly name: string;
  /** One row (a value, or an object by column), or a list of rows. */
  readonly input: Json;
  /** Such as `1.4.0`; as the traffic is split when left out. */
  readonly version?: string;
  /** Yours: predictions and labels are joined by it. */
  readonly requestId?: string;
}

/** What was predicted. */
export interface Predicted {
  readonly deployment: string;
  readonly model: string;
  readonly version?: string;
  readonly requestId?: string;
  /** One for each row. */
  readonly predictions: readonly Json[];
}

/** Predictions under `/api/v1/deployments`. */
export const inferenceRows: {
  readonly predict: Route<{ readonly body: Predict }, Predicted>;
} = {
  predict: {
    method: 'POST',
    path: '/deployments/predict',
    summary: 'Has a deployment answer, where this process serves it',
    description:
      'What is for programs that predict much is `POST /v2/models/{name}/infer` and `POST /v1/models/{name}:predict`.',
    permission: 'deployment.predict',
    spellings: {
      model_name: 'name',
      modelName: 'name',
      model: 'name',
      deployment: 'name',
      input_data: 'input',
      inputData: 'input',
      instances: 'input',
      request_id: 'requestId',
    },
    body: asked<Predict>({
      name: z.string().min(1).max(255).describe('A deployment, or a model that has one'),
      input: anyJson.describe('One row, or a list of rows'),
      version: z
        .string()
        .min(1)
        .max(255)
        .describe('As the traffic is split when left out')
        .optional(),
      requestId: z
        .string()
        .min(1)
        .max(255)
        .describe('Predictions and labels are joined by it')
        .optional(),
    }),
    answers: {
      as: 'json',
      schema: answered<Predicted>('Predicted', {
        deployment: z.string(),
        model: z.string(),
        version: z.string().optional(),
        requestId: z.string().optional(),
        predictions: z.array(anyJson),
      }),
    },
    example: { body: { name: 'scored', input: [{ wind: 3, cloud: 0.5 }], version: '1.0.0' } },
    run: predict,
  },
};

async function predict(call: Call<{ readonly body: Predict }>): Promise<Predicted> {
  const { services, serving, signal, headers, input } = call;
  const { name, input: given, version, requestId } = input.body;
  // Before it is told whether there is such a thing.
  await services.deployments.admit(name);
  const { name: deployment, model, endpointUrl } = await watchedDeployment(services, name);
  await services.deployments.admit(deployment);
  if (serving === undefined) {
    const where = endpointUrl === undefined ? 'where it is served' : `at ${endpointUrl}`;
    const message = `No deployment is served by this process; ask ${deployment} ${where}.`;
    throw refusal(422, 'UNSUPPORTED', message, endpointUrl === undefined ? {} : { endpointUrl });
  }
  const path = `/v1/models/${encodeURIComponent(deployment)}`;
  const at = version === undefined ? '' : `/versions/${encodeURIComponent(version)}`;
  const kept = ['traceparent', 'tracestate', 'x-correlation-id', 'x-envoy-expected-rq-timeout-ms'];
  const answer = await serving.handle({
    method: 'POST',
    url: `${path}${at}:predict`,
    headers: {
      'content-type': 'application/json',
      ...Object.fromEntries(kept.map((each) => [each, headerOf(headers, each)])),
    },
    bytes: Buffer.from(
      JSON.stringify({ instances: Array.isArray(given) ? given : [given], id: requestId }),
    ),
    isGone: () => signal.aborted,
  });
  const said = JSON.parse(Buffer.from(answer.body).toString('utf8')) as {
    readonly predictions?: readonly Json[];
    readonly error?: string;
  };
  if (answer.status !== 200) {
    const code = answer.status < 500 ? 'INVALID' : 'UNAVAILABLE';
    throw refusal(answer.status, code, said.error ?? `It was answered ${answer.status}.`);
  }
  const answeredBy = answer.headers['x-model-version'];
  return {
    ...{ deployment, model },
    ...(answeredBy === undefined ? {} : { version: answeredBy }),
    ...(requestId === undefined ? {} : { requestId }),
    predictions: said.predictions ?? [],
  };
}
