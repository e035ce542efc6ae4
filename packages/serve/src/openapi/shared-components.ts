import type { Schema } from './tensor-schemas.ts';

/** Path items by path. */
export type Paths = Readonly<Record<string, Schema>>;

const error = { $ref: '#/components/schemas/Error' };

const failures: Readonly<
  Record<string, { readonly description: string; readonly headers?: Schema }>
> = {
  400: { description: 'Malformed; the message names the place and what was expected there' },
  404: { description: 'No such deployment or version' },
  413: { description: 'More bytes or rows than a request may have' },
  415: { description: 'A Content-Type or Content-Encoding that cannot be read' },
  422: { description: 'Well-formed, but not what the model takes' },
  429: { description: 'Over a limit of this client or of the workspace', headers: retryAfter() },
  500: { description: 'The model failed' },
  503: { description: 'Not ready, or overloaded', headers: retryAfter() },
  504: { description: 'No answer within the time' },
};

/** The statuses of a request for predictions, beside 200. */
export const inferFailures: readonly string[] = Object.keys(failures);

function retryAfter(): Schema {
  return {
    'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer', minimum: 1 } },
  };
}

/** References to answers of failed requests, for an operation's `responses`. */
export function failureRefs(statuses: readonly string[]): Schema {
  return Object.fromEntries(
    statuses.map((status) => [status, { $ref: `#/components/responses/${status}` }]),
  );
}

/** A body of JSON. */
export function json(schema: Schema, examples?: Schema): Schema {
  const more = examples === undefined || Object.keys(examples).length === 0 ? {} : { examples };
  return { 'application/json': { schema, ...more } };
}

/** An operation without parameters that answers JSON. */
export function operation(
  operationId: string,
  summary: string,
  answer: Schema,
  statuses: readonly string[] = [],
  tag?: string,
): Schema {
  return {
    operationId,
    summary,
    ...(tag === undefined ? {} : { tags: [tag] }),
    responses: { 200: { description: 'OK', content: json(answer) }, ...failureRefs(statuses) },
  };
}

/** References to the headers that a request for predictions may have. */
export const inferHeaders: readonly Schema[] = [
  'RequestId',
  'CorrelationId',
  'Traceparent',
  'ContentEncoding',
].map((name) => ({ $ref: `#/components/parameters/${name}` }));

/** What all operations refer to. */
export function sharedComponents(): {
  readonly schemas: Schema;
  readonly parameters: Schema;
  readonly responses: Schema;
  readonly headers: Schema;
} {
  return {
    schemas: {
      Error: {
        type: 'object',
        required: ['error'],
        properties: { error: { type: 'string' } },
      },
      Parameters: {
        type: 'object',
        description:
          'Texts, booleans and numbers, which reach the model and the rules of the route.',
        properties: {
          at: { type: 'integer', description: "The request's own time, epoch ms", minimum: 0 },
          binary_data_output: {
            type: 'boolean',
            description: 'Answer all outputs as binary tensors',
          },
        },
        additionalProperties: { type: ['string', 'boolean', 'number'] },
      },
      TensorParameters: {
        type: 'object',
        properties: {
          binary_data_size: {
            type: 'integer',
            minimum: 0,
            description: 'Bytes behind the JSON that are the data of this tensor, little-endian',
          },
        },
        additionalProperties: { type: ['string', 'boolean', 'number'] },
      },
      RequestedOutput: {
        type: 'object',
        required: ['name'],
        properties: {
          name: { type: 'string' },
          parameters: { type: 'object', properties: { binary_data: { type: 'boolean' } } },
        },
      },
    },
    parameters: {
      RequestId: header('x-request-id', 'An id for this request where the body has none; answered'),
      CorrelationId: header('x-correlation-id', 'What this request belongs to; answered'),
      Traceparent: header('traceparent', "The caller's place in a trace (W3C Trace Context)"),
      ContentEncoding: header('content-encoding', 'How the body is compressed', {
        enum: ['gzip', 'deflate', 'identity'],
      }),
    },
    responses: Object.fromEntries(
      Object.entries(failures).map(([status, said]) => [status, { ...said, content: json(error) }]),
    ),
    headers: {
      ModelVersion: { description: 'The version that answered', schema: { type: 'string' } },
      RequestId: { description: 'The id of the request', schema: { type: 'string' } },
    },
  };
}

function header(name: string, description: string, more: Schema = {}): Schema {
  return { name, in: 'header', description, required: false, schema: { type: 'string', ...more } };
}
