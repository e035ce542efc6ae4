import { z } from 'zod';
import { commonFailures, titleOf } from './problem.ts';
import { shapeOf } from './read-input.ts';
import { type AnyRoute, apiBase, type NamedRoute, pathsOf, rowsOf } from './route.ts';
import { components } from './schemas.ts';

/** A JSON object of the document. */
type Part = Record<string, unknown>;

const known = new WeakMap<object, Part>();

/** The OpenAPI 3.1 document of a table. */
export function openApiDocument(table: object): Part {
  let document = known.get(table);
  if (document === undefined) {
    document = describe(table);
    known.set(table, document);
  }
  return document;
}

function describe(table: object): Part {
  const rows = rowsOf(table);
  const schemas = schemasOf(rows);
  const paths: Record<string, Part> = {};
  for (const route of rows) {
    for (const [i, path] of pathsOf(route.row).entries()) {
      const key = path.replace('+}', '}');
      const item = paths[key] ?? {};
      paths[key] = item;
      item[route.row.method.toLowerCase()] = operationOf(route, i, path);
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Keelson control plane',
      version: '1',
      description:
        'Times are epoch milliseconds. Numbers that JSON has not are `{"$number":"NaN"}`, both ways. Field names may be written in snake_case. Errors are problems of RFC 9457 with a stable `code`.',
    },
    tags: Object.keys(table).map((name) => ({ name })),
    security: [{ bearer: [] }, { basic: [] }],
    paths,
    components: {
      schemas: { ...schemas, Problem: problemSchema },
      parameters: { ...headerParameters },
      responses: Object.fromEntries(
        [...new Set([...commonFailures, ...rows.flatMap(({ row }) => failuresOf(row))])].map(
          (status) => [
            String(status),
            {
              description: titleOf(status),
              content: {
                'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
              },
            },
          ],
        ),
      ),
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'An API key, or a token of the issuer',
        },
        basic: { type: 'http', scheme: 'basic', description: 'An API key as the password' },
      },
    },
  };
}

/** Statuses of failures that this row may answer beside the common ones. */
function failuresOf(row: AnyRoute): readonly number[] {
  return [...(row.failures ?? []), ...(row.revisions !== undefined ? [412] : [])];
}

function operationOf({ resource, verb, row }: NamedRoute, i: number, path: string): Part {
  const named = [...path.matchAll(/\{(\w+)\+?\}/g)].map(([, name]) => name as string);
  const query = Object.entries((row.query ?? {}) as Record<string, z.ZodType>);
  return {
    operationId: i === 0 ? `${resource}.${verb}` : `${resource}.${verb}.${i + 1}`,
    summary: row.summary,
    tags: [resource],
    ...descriptionOf(row, i),
    ...(row.permission === 'open' ? { security: [] } : { 'x-permission': row.permission }),
    parameters: [
      ...named.map((name) => pathParameter(row, name)),
      ...query.map(([name, schema]) => queryParameter(row, name, schema)),
      ...Object.keys(headerParameters)
        .filter((name) => name !== 'IfMatch' || row.revisions !== undefined)
        .filter((name) => name !== 'IdempotencyKey' || takesKey(row))
        .map((name) => ({ $ref: `#/components/parameters/${name}` })),
    ],
    ...requestBodyOf(row),
    responses: {
      ...Object.fromEntries(
        [...commonFailures, ...failuresOf(row)].map((status) => [
          String(status),
          { $ref: `#/components/responses/${status}` },
        ]),
      ),
      ...successOf(row),
    },
  };
}

/** Whether an idempotency key is of use: open routes know nobody whose it could be. */
function takesKey({ method, permission, isSecret }: AnyRoute): boolean {
  return method !== 'GET' && permission !== 'open' && isSecret !== true;
}

function descriptionOf(row: AnyRoute, i: number): Part {
  const said = [
    ...(row.description === undefined ? [] : [row.description]),
    ...(i === 0 ? [] : [`The same as ${row.method} ${apiBase}${row.path}.`]),
    ...(row.permission === 'open' ? [] : [`Needs the permission \`${row.permission}\`.`]),
  ];
  return said.length === 0 ? {} : { description: said.join(' ') };
}

function pathParameter(row: AnyRoute, name: string): Part {
  const schema = (row.params as Record<string, z.ZodType> | undefined)?.[name];
  return {
    name,
    in: 'path',
    required: true,
    schema: schema === undefined ? { type: 'string', minLength: 1 } : inline(schema),
    ...exampleOf(row, name),
  };
}

function queryParameter(row: AnyRoute, name: string, schema: z.ZodType): Part {
  return {
    name,
    in: 'query',
    required: !schema.safeParse(undefined).success,
    schema: inline(schema),
    ...exampleOf(row, name),
  };
}

function exampleOf(row: AnyRoute, name: string): Part {
  const example = (row.example as Part)[name];
  return example === undefined ? {} : { example };
}

function requestBodyOf(row: AnyRoute): Part {
  const schema = row.upload === undefined ? row.body : row.upload.json;
  const { body: example } = row.example as { readonly body?: unknown };
  const json =
    schema === undefined
      ? {}
      : {
          'application/json': {
            schema: refTo(row) ?? inline(schema),
            ...(example === undefined ? {} : { example }),
          },
        };
  const others = (row.upload?.mediaTypes ?? []).map((type) => [
    type,
    { schema: uploadSchema(type) },
  ]);
  const content = { ...json, ...Object.fromEntries(others) };
  if (Object.keys(content).length === 0) return {};
  const required = row.upload !== undefined || schema?.safeParse(undefined).success === false;
  return { requestBody: { required, content } };
}

function uploadSchema(type: string): Part {
  if (!type.startsWith('multipart/')) return {};
  return {
    type: 'object',
    properties: { file: { type: 'string', contentMediaType: 'application/octet-stream' } },
  };
}

/** One message of a stream, its fields as they stand on their lines. */
function messageSchema(schema: z.ZodType): Part {
  const text = { type: 'string' };
  const contentSchema = inline(schema);
  return {
    type: 'object',
    properties: {
      id: text,
      event: text,
      data: { ...text, contentMediaType: 'application/json', contentSchema },
    },
  };
}

function successOf({ answers }: AnyRoute): Part {
  switch (answers.as) {
    case 'nothing':
      return { 204: { description: 'Done' } };
    case 'bytes': {
      const content = Object.fromEntries(answers.mediaTypes.map((type) => [type, { schema: {} }]));
      return {
        200: { description: 'The bytes', content },
        206: { description: 'The range', content },
        304: { description: 'Unchanged' },
      };
    }
    case 'messages':
      return {
        200: {
          description: 'Server-sent events',
          content: { 'text/event-stream': { schema: messageSchema(answers.schema) } },
        },
      };
    case 'json': {
      const content = { 'application/json': { schema: inline(answers.schema) } };
      const unchanged =
        (answers.status ?? 200) === 200 ? { 304: { description: 'Unchanged' } } : {};
      return { [answers.status ?? 200]: { description: 'Done', content }, ...unchanged };
    }
  }
}

const bodies = new WeakMap<AnyRoute, string>();

function refTo(row: AnyRoute): Part | undefined {
  const id = bodies.get(row);
  return id === undefined ? undefined : { $ref: `#/components/schemas/${id}` };
}

/** Named schemas, and the bodies of rows under the names of their operations. */
function schemasOf(rows: readonly NamedRoute[]): Record<string, unknown> {
  for (const { resource, verb, row } of rows) {
    const schema = row.upload === undefined ? row.body : row.upload.json;
    if (schema === undefined || Object.keys(shapeOf(schema)).length === 0) continue;
    const id = `${capital(resource)}${capital(verb)}`;
    if (!components.has(schema)) components.add(schema, { id });
    bodies.set(row, components.get(schema)?.id ?? id);
  }
  const made = z.toJSONSchema(components, {
    io: 'input',
    uri: (id) => `#/components/schemas/${id}`,
  });
  return Object.fromEntries(
    Object.entries(made.schemas).map(([id, { $schema: _, $id: __, ...schema }]) => [
      id,
      tidy(schema),
    ]),
  );
}

/** A schema in its place: a reference where it has a name. */
function inline(schema: z.ZodType): Part {
  const named = components.get(schema);
  if (named !== undefined) return { $ref: `#/components/schemas/${named.id}` };
  const {
    $schema: _,
    $defs: __,
    ...plain
  } = z.toJSONSchema(schema, {
    io: 'input',
    metadata: components,
    override: ({ zodSchema, jsonSchema }) => {
      const id = components.get(zodSchema as unknown as z.ZodType)?.id;
      if (id === undefined || (zodSchema as unknown) === schema) return;
      for (const key of Object.keys(jsonSchema)) delete (jsonSchema as Part)[key];
      (jsonSchema as Part)['$ref'] = `#/components/schemas/${id}`;
    },
  }) as Part;
  return tidy(plain) as Part;
}

/** Without bounds that all numbers have. */
function tidy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(tidy);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(
        ([key, of]) =>
          !(
            (key === 'minimum' || key === 'maximum') &&
            Math.abs(of as number) === Number.MAX_SAFE_INTEGER
          ),
      )
      .map(([key, of]) => [key, tidy(of)]),
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const headerParameters: Readonly<Record<string, Part>> = {
  IdempotencyKey: header(
    'idempotency-key',
    'The same key again answers what was answered, without doing it again',
    { maxLength: 255 },
  ),
  IfMatch: header(
    'if-match',
    'The ETag that the change is meant for; 412 when it was changed meanwhile',
  ),
  CorrelationId: header('x-correlation-id', 'What this request belongs to; answered'),
  Traceparent: header('traceparent', "The caller's place in a trace (W3C Trace Context)"),
};

function header(name: string, description: string, more: Part = {}): Part {
  return { name, in: 'header', required: false, description, schema: { type: 'string', ...more } };
}

const problemSchema: Part = {
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'class', 'detail', 'correlationId'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', description: 'One of docs/errors.md' },
    class: { type: 'string', description: 'What a program may do about it' },
    detail: { type: 'string' },
    correlationId: { type: 'string' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['path', 'message'],
        properties: { path: { type: 'string' }, message: { type: 'string' } },
      },
    },
    details: { type: 'object' },
  },
};
