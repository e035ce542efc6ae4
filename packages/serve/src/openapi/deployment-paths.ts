import type { ServedModel } from '../serving-source.ts';
import type { ExampleRequests } from './example-requests.ts';
import {
  failureRefs,
  inferFailures,
  inferHeaders,
  json,
  operation,
  type Paths,
} from './shared-components.ts';
import { columnarSchema, instanceSchema, type Schema, tensorSchema } from './tensor-schemas.ts';

/** A version with what its description is made of. */
export interface DescribedVersion {
  readonly deployment: string;
  /** Whether requests that name no version are described by it. */
  readonly isFirst: boolean;
  readonly model: ServedModel;
  readonly examples: ExampleRequests;
  /** What its components are called by. */
  readonly key: string;
  /** The same of all versions of the deployment: any may answer who names none. */
  readonly keys: readonly string[];
}

/** The schemas of a version's requests and answers. */
export function versionSchemas({ model, key, examples }: DescribedVersion): Schema {
  const { inputs, outputs } = model.signature;
  const parameters = { $ref: '#/components/schemas/Parameters' };
  const common = { id: { type: 'string', maxLength: 256 }, parameters };
  const schemas: Record<string, Schema> = {
    [`${key}.InferRequest`]: {
      type: 'object',
      required: ['inputs'],
      properties: {
        ...common,
        inputs: {
          type: 'array',
          items: { anyOf: inputs.map(tensorSchema) },
          minItems: inputs.length,
          maxItems: inputs.length,
        },
        outputs: {
          type: 'array',
          description: 'Those wanted, in this order; all when left out',
          items: {
            allOf: [
              { $ref: '#/components/schemas/RequestedOutput' },
              { properties: { name: { enum: outputs.map(({ name }) => name) } } },
            ],
          },
        },
      },
    },
    [`${key}.InferAnswer`]: {
      type: 'object',
      required: ['model_name', 'model_version', 'outputs'],
      properties: {
        model_name: { type: 'string' },
        model_version: { const: model.version },
        ...common,
        outputs: { type: 'array', items: { anyOf: outputs.map(tensorSchema) } },
      },
    },
  };
  if (examples.predict !== undefined) {
    schemas[`${key}.PredictRequest`] = {
      type: 'object',
      properties: {
        ...common,
        instances: { type: 'array', description: 'Row by row', items: instanceSchema(inputs) },
        inputs: columnarSchema(inputs),
      },
      oneOf: [{ required: ['instances'] }, { required: ['inputs'] }],
    };
    schemas[`${key}.PredictAnswer`] = {
      type: 'object',
      properties: { predictions: { type: 'array' }, outputs: {} },
      oneOf: [{ required: ['predictions'] }, { required: ['outputs'] }],
    };
  }
  return schemas;
}

/** The paths of a version; of the first one, also those that name no version. */
export function versionPaths(version: DescribedVersion): Paths {
  const name = encodeURIComponent(version.deployment);
  const number = encodeURIComponent(version.model.version);
  return {
    ...(version.isFirst ? pathsAt(version, name, false) : {}),
    ...pathsAt(version, `${name}/versions/${number}`, true),
  };
}

function pathsAt(version: DescribedVersion, at: string, isPinned: boolean): Paths {
  const { deployment, key, examples } = version;
  const id = isPinned ? `pinned.${key}` : key;
  const object = (required: readonly string[]): Schema => ({ type: 'object', required });
  const gone = ['404', '503'];
  const get = (verb: string, summary: string, answer: Schema): Schema => ({
    get: operation(`${verb}.${id}`, summary, answer, gone, deployment),
  });
  const paths: Record<string, Schema> = {
    [`/v2/models/${at}`]: get(
      'metadata',
      'Inputs and outputs',
      object(['name', 'versions', 'inputs', 'outputs']),
    ),
    [`/v2/models/${at}/ready`]: get('ready', 'Whether it answers', object(['name', 'ready'])),
    [`/v2/models/${at}/infer`]: { post: inferOperation(version, id, isPinned) },
    [`/v1/models/${at}`]: get('status', 'States of versions', object(['model_version_status'])),
    [`/v1/models/${at}/metadata`]: get(
      'signature',
      'Inputs and outputs',
      object(['model_spec', 'metadata']),
    ),
  };
  if (!isPinned) {
    paths[`/v2/models/${at}/openapi.json`] = get(
      'openapi',
      'The description of this deployment',
      object(['openapi']),
    );
    paths[`/v2/models/${at}/versions`] = get(
      'versions',
      'Those that can be asked for',
      object(['name', 'versions']),
    );
  }
  if (examples.predict !== undefined) {
    paths[`/v1/models/${at}:predict`] = { post: predictOperation(version, id) };
  }
  return paths;
}

function inferOperation(version: DescribedVersion, id: string, isPinned: boolean): Schema {
  const { deployment, key, keys, examples } = version;
  const { infer, binary } = examples;
  const jsonExamples = infer === undefined ? {} : { request: { value: infer } };
  return {
    operationId: `infer.${id}`,
    summary: 'Predictions for rows of tensors',
    tags: [deployment],
    parameters: [
      ...inferHeaders,
      {
        name: 'inference-header-content-length',
        in: 'header',
        description:
          'Length of the JSON where binary tensors follow it, before any compression; 0 where the body is the data of the only input',
        schema: { type: 'integer', minimum: 0 },
      },
    ],
    requestBody: {
      required: true,
      content: {
        ...json(ref(key, 'InferRequest'), jsonExamples),
        'application/octet-stream': {
          schema: {
            description: 'JSON, and behind it the binary tensors in the order of the inputs',
          },
          // Bytes have no form in a document of JSON.
          'x-example': {
            base64: binary.base64,
            'inference-header-content-length': binary.headerLength,
          },
        },
      },
    },
    responses: {
      200: {
        description:
          'The outputs; as binary tensors where that was asked, or where there is no JSON form',
        headers: answerHeaders,
        content: {
          ...json(isPinned || keys.length === 1 ? ref(key, 'InferAnswer') : anyAnswer(keys)),
          'application/octet-stream': {},
        },
      },
      ...failureRefs(inferFailures),
    },
  };
}

function predictOperation({ deployment, key, examples }: DescribedVersion, id: string): Schema {
  const { predict } = examples;
  const given =
    predict === undefined
      ? {}
      : { instances: { value: predict.instances }, inputs: { value: predict.inputs } };
  return {
    operationId: `predict.${id}`,
    summary: 'Predictions for rows of values',
    tags: [deployment],
    parameters: inferHeaders,
    requestBody: { required: true, content: json(ref(key, 'PredictRequest'), given) },
    responses: {
      200: {
        description: 'In the form of the request',
        headers: answerHeaders,
        content: json(ref(key, 'PredictAnswer')),
      },
      ...failureRefs(inferFailures),
    },
  };
}

const answerHeaders: Schema = {
  'x-model-version': { $ref: '#/components/headers/ModelVersion' },
  'x-request-id': { $ref: '#/components/headers/RequestId' },
};

function anyAnswer(keys: readonly string[]): Schema {
  return { anyOf: keys.map((key) => ref(key, 'InferAnswer')) };
}

function ref(key: string, what: string): Schema {
  return { $ref: `#/components/schemas/${key}.${what}` };
}
